// Registrations: what to register, and the handle of one that runs.

package callsheet

// #include "shim.h"
import "C"

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// State says where a registration stands.
type State string

// Every state.
const (
	// StatePending: not published yet: held back, waiting for its port, or the registry has not answered.
	StatePending State = "pending"
	// StateRegistered: the registry has accepted it.
	StateRegistered State = "registered"
	// StateLost: it was registered, and the registry lost it or can't be reached; it is being published again.
	StateLost State = "lost"
	// StateRefused: the registry said no; tried again every 30 s with fresh credentials.
	StateRefused State = "refused"
	// StateSuperseded: another live process holds the id; published again when that goes.
	StateSuperseded State = "superseded"
	// StateClosed: ended, for good.
	StateClosed State = "closed"
)

var states = map[C.int32_t]State{
	C.CALLSHEET_STATE_PENDING:    StatePending,
	C.CALLSHEET_STATE_REGISTERED: StateRegistered,
	C.CALLSHEET_STATE_LOST:       StateLost,
	C.CALLSHEET_STATE_REFUSED:    StateRefused,
	C.CALLSHEET_STATE_SUPERSEDED: StateSuperseded,
	C.CALLSHEET_STATE_CLOSED:     StateClosed,
}

// Registration says what to register. Service and Port have to be given.
type Registration struct {
	// Service is the service's name.
	Service string
	// Port is the port that it listens on, 1 to 65535.
	Port int
	// Address is where others reach it. Default: $CALLSHEET_ADDRESS, else what the registry suggests.
	Address string
	// ID is an id of its own choosing, which is taken over from whoever holds it. Default: address:port.
	ID string
	// Scheme says how to speak to it. Default: "http".
	Scheme string
	// Tags, at most 64.
	Tags []string
	// Metadata, at most 56 pairs.
	Metadata map[string]string
	// Weight is its share of calls for weighted policies, 1 to 65535. Default: 1.
	Weight int
	// Zone says where it runs, such as an availability zone.
	Zone string
	// Version says what it runs.
	Version string
	// TTL says how long the registry keeps it without hearing of it, 1 s to 1 day. Default: the client's.
	TTL time.Duration
	// Drain says how long closing it waits for calls under way. Default: the client's.
	Drain time.Duration
	// Check says how its health is decided. Default: it is healthy while this process lives.
	Check Check
	// Hold publishes nothing until [RegistrationHandle.Ready].
	Hold bool
	// WaitForPort publishes only once the port accepts a connection, at the address or on loopback.
	WaitForPort bool
}

// options returns the registration for C.
func (r *Registration) options(a *arguments) *C.callsheet_registration_options_t {
	made := (*C.callsheet_registration_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_registration_options_t{})))
	*made = C.cs_registration_options()
	made.service = a.text("service", r.Service)
	made.port = C.int64_t(r.Port)
	made.address = a.optional("address", r.Address)
	made.id = a.optional("id", r.ID)
	made.scheme = a.optional("scheme", r.Scheme)
	made.tags, made.tags_len = a.texts("tags", r.Tags)
	made.metadata, made.metadata_len = a.pairs("metadata", r.Metadata)
	if r.Weight != 0 {
		made.weight = C.int64_t(r.Weight)
	}
	made.zone = a.optional("zone", r.Zone)
	made.version = a.optional("version", r.Version)
	made.ttl_ms = a.duration(r.TTL)
	made.drain_ms = a.duration(r.Drain)
	made.check = r.Check.options(a)
	made.hold = C.bool(r.Hold)
	made.wait_for_port = C.bool(r.WaitForPort)
	return made
}

// Update says what [RegistrationHandle.Update] changes; what is left as it is stays.
type Update struct {
	// Tags instead of the present ones; nil: as they are, empty: none from now on.
	Tags []string
	// Metadata instead of the present pairs; nil: as they are, empty: none from now on.
	Metadata map[string]string
	// Weight instead of the present one, 1 to 65535; 0: as it is.
	Weight int
}

// RegistrationHandle is a registration that runs until it or its client is closed. Dropping this does not end it. Any
// number of goroutines may use it.
type RegistrationHandle struct {
	client *Client
	inner  *registration
}

// registration is the library's, and what is left of it once that was freed.
type registration struct {
	object object
	mu     sync.Mutex
	id     string
	err    error
}

func (r *registration) release() {
	r.object.use(func(ptr unsafe.Pointer) {
		id, err := readID(ptr), readLastError(ptr)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.id, r.err = id, err
	})
	r.object.release()
}

func readID(ptr unsafe.Pointer) string {
	return C.GoString(C.callsheet_registration_id((*C.callsheet_registration_t)(ptr)))
}

func readLastError(ptr unsafe.Pointer) error {
	object := C.callsheet_registration_last_error((*C.callsheet_registration_t)(ptr))
	if object == nil {
		return nil
	}
	defer C.callsheet_error_free(object)
	return readError(object)
}

func (c *Client) handle(made *C.callsheet_registration_t) *RegistrationHandle {
	inner := &registration{object: object{ptr: unsafe.Pointer(made), free: func(ptr unsafe.Pointer) {
		C.callsheet_registration_free((*C.callsheet_registration_t)(ptr))
	}}}
	c.conn.own(inner)
	handle := &RegistrationHandle{c, inner}
	conn := c.conn
	runtime.AddCleanup(handle, func(inner *registration) { conn.drop(inner) }, inner)
	return handle
}

// Register registers an instance and keeps it registered until the handle or the client is closed. It waits for the first
// try, at most the client's timeout: on return the instance is registered, or [RegistrationHandle.LastError] says why not
// yet, and it goes on trying. A context that ends before undoes it; afterwards ctx plays no part.
//
// Errors: [ErrInvalidArgument]; [ErrConflict] when this client has a registration of this service and id; [ErrClosed].
// Never because the registry is down or refuses.
func (c *Client) Register(ctx context.Context, registration Registration) (*RegistrationHandle, error) {
	defer runtime.KeepAlive(c)
	var a arguments
	defer a.free()
	options := registration.options(&a)
	if err := a.failed(); err != nil {
		return nil, err
	}
	var made *C.callsheet_registration_t
	err := c.conn.do(ctx, call{what: "registering " + registration.Service + " at " + c.conn.source,
		begin: c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
			err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_register_begin(client, options, tag, call, err)
		}),
		take: func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_call_take_registration(call, &made, err)
		}})
	if err != nil {
		return nil, err
	}
	return c.handle(made), nil
}

// Registration returns the registration of this client with this id.
//
// Errors: [ErrNotFound]; [ErrConflict] when registrations of several services have it; [ErrClosed].
func (c *Client) Registration(id string) (*RegistrationHandle, error) {
	defer runtime.KeepAlive(c)
	var a arguments
	defer a.free()
	text := a.text("id", id)
	if err := a.failed(); err != nil {
		return nil, err
	}
	var made *C.callsheet_registration_t
	var object *C.callsheet_error_t
	number := C.callsheet_code(C.CALLSHEET_CLOSED)
	c.conn.client.use(func(ptr unsafe.Pointer) {
		number = C.callsheet_registration_find((*C.callsheet_client_t)(ptr), text, &made, &object)
	})
	if err := failure(number, object); err != nil {
		return nil, err
	}
	return c.handle(made), nil
}

// Deregister closes the registration of this client with this id.
//
// Errors: as of [Client.Registration] and [RegistrationHandle.Close].
func (c *Client) Deregister(ctx context.Context, id string) error {
	defer runtime.KeepAlive(c)
	var a arguments
	defer a.free()
	text := a.text("id", id)
	if err := a.failed(); err != nil {
		return err
	}
	return c.conn.do(ctx, call{what: "deregistering " + id,
		begin: c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
			err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_deregister_begin(client, text, tag, call, err)
		})})
}

// begin returns f on the registration, CALLSHEET_CLOSED once that was freed.
func (r *RegistrationHandle) begin(f func(*C.callsheet_registration_t, C.uint64_t, **C.callsheet_call_t,
	**C.callsheet_error_t) C.callsheet_code) begin {
	return func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
		number := C.callsheet_code(C.CALLSHEET_CLOSED)
		r.inner.object.use(func(ptr unsafe.Pointer) { number = f((*C.callsheet_registration_t)(ptr), tag, call, err) })
		return number
	}
}

// do does a call that has no answer.
func (r *RegistrationHandle) do(ctx context.Context, todo call, f func(*C.callsheet_registration_t, C.uint64_t,
	**C.callsheet_call_t, **C.callsheet_error_t) C.callsheet_code) error {
	defer runtime.KeepAlive(r)
	todo.what += " " + r.ID()
	todo.begin = r.begin(f)
	return r.client.conn.do(ctx, todo)
}

// ID returns the id, which differs from the default one when that belongs to a live process of another machine.
func (r *RegistrationHandle) ID() string {
	defer runtime.KeepAlive(r)
	var id string
	if r.inner.object.use(func(ptr unsafe.Pointer) { id = readID(ptr) }) {
		return id
	}
	r.inner.mu.Lock()
	defer r.inner.mu.Unlock()
	return r.inner.id
}

// State says where it stands.
func (r *RegistrationHandle) State() State {
	defer runtime.KeepAlive(r)
	state := StateClosed
	r.inner.object.use(func(ptr unsafe.Pointer) {
		state = states[C.int32_t(C.callsheet_registration_state((*C.callsheet_registration_t)(ptr)))]
	})
	return state
}

// LastError returns why it is not registered, or why the last update did not reach the registry; nil when nothing is wrong.
func (r *RegistrationHandle) LastError() error {
	defer runtime.KeepAlive(r)
	var err error
	if r.inner.object.use(func(ptr unsafe.Pointer) { err = readLastError(ptr) }) {
		return err
	}
	r.inner.mu.Lock()
	defer r.inner.mu.Unlock()
	return r.inner.err
}

// Ready publishes what Hold held back, and waits until it is registered, as long as ctx, whose end ends the wait and not
// the registration.
//
// Errors: [ErrTimeout] and [ErrCancelled] by the context, [ErrClosed].
func (r *RegistrationHandle) Ready(ctx context.Context) error {
	return r.do(ctx, call{what: "publishing", knowsDeadline: true},
		func(one *C.callsheet_registration_t, tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_registration_ready_begin(one, wait(ctx.Deadline()), tag, call, err)
		})
}

// Wait waits until state is reached, as long as ctx. Already being in it is success.
//
// Errors: [ErrTimeout], with the last error as its cause, and [ErrCancelled] by the context; [ErrClosed] when it can never
// be reached; [ErrInvalidArgument].
func (r *RegistrationHandle) Wait(ctx context.Context, state State) error {
	wanted := number(states, state)
	if wanted == 0 {
		return invalid("there is no state %q; it is pending, registered, lost, refused, superseded or closed", state)
	}
	if state == StateClosed && r.State() == StateClosed {
		return nil
	}
	return r.do(ctx, call{what: "waiting for " + string(state), knowsDeadline: true},
		func(one *C.callsheet_registration_t, tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_registration_wait_begin(one, wanted, wait(ctx.Deadline()), tag, call, err)
		})
}

// Update changes tags, metadata or weight without a gap. It returns when the registry has it, or after the first try that
// failed: then LastError says why, and it goes on trying.
//
// Errors: [ErrInvalidArgument], and nothing is changed; [ErrClosed].
func (r *RegistrationHandle) Update(ctx context.Context, update Update) error {
	var a arguments
	defer a.free()
	options := (*C.callsheet_update_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_update_options_t{})))
	*options = C.cs_update_options()
	options.tags, options.tags_len = a.texts("tags", update.Tags)
	options.metadata, options.metadata_len = a.pairs("metadata", update.Metadata)
	if update.Weight != 0 {
		options.weight = C.int64_t(update.Weight)
	}
	if update.Weight < 0 {
		a.refuse(invalid("weight is %d: it is 1 to 65535", update.Weight))
	}
	if err := a.failed(); err != nil {
		return err
	}
	return r.do(ctx, call{what: "updating"},
		func(one *C.callsheet_registration_t, tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_registration_update_begin(one, options, tag, call, err)
		})
}

// SetStatus sets the status by hand; passing gives it back to the check. A failing check still wins over a better one.
// The note says why and may be empty.
//
// Errors: [ErrInvalidArgument], [ErrClosed].
func (r *RegistrationHandle) SetStatus(ctx context.Context, status Status, note string) error {
	var a arguments
	defer a.free()
	text := a.text("note", note)
	wanted := number(statuses, status)
	if wanted == 0 {
		a.refuse(invalid("there is no status %q; it is passing, warning, critical or draining", status))
	}
	if err := a.failed(); err != nil {
		return err
	}
	return r.do(ctx, call{what: "setting the status of"},
		func(one *C.callsheet_registration_t, tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_registration_set_status_begin(one, wanted, text, tag, call, err)
		})
}

// Drain says draining: pickers, watches and lookups skip it from now on, while it finishes its calls.
//
// Errors: [ErrClosed].
func (r *RegistrationHandle) Drain(ctx context.Context) error {
	return r.do(ctx, call{what: "draining"},
		func(one *C.callsheet_registration_t, tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_registration_drain_begin(one, tag, call, err)
		})
}

// Beat is a sign of life for a [Heartbeat] check. It never waits.
//
// Errors: [ErrClosed].
func (r *RegistrationHandle) Beat() error {
	defer runtime.KeepAlive(r)
	err := error(closed("registration"))
	r.inner.object.use(func(ptr unsafe.Pointer) {
		var object *C.callsheet_error_t
		err = failure(C.callsheet_registration_beat((*C.callsheet_registration_t)(ptr), &object), object)
	})
	return err
}

// Close withdraws the instance if it is still this registration's, then waits out the drain. Closing twice is fine.
//
// Errors: [ErrTimeout] when the registry could not be told within 5 s; the instance then goes with its TTL.
func (r *RegistrationHandle) Close() error {
	if !r.inner.object.use(func(unsafe.Pointer) {}) {
		return nil // With its client.
	}
	return r.do(context.Background(), call{what: "closing"},
		func(one *C.callsheet_registration_t, tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_registration_close_begin(one, tag, call, err)
		})
}

// States yields the current state and then each new one, none left out unless more than 64 are unread. It ends after
// [StateClosed]. LastError says why a state is no good one. An error is yielded once and ends it: that of the context.
func (r *RegistrationHandle) States(ctx context.Context) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		defer runtime.KeepAlive(r)
		s, err := r.states(ctx)
		switch {
		case err != nil:
			yield("", err)
		case s == nil:
			yield(StateClosed, nil)
		default:
			follow(ctx, s, yield)
		}
	}
}

// states opens the library's states; nil when the registration was freed with its client.
func (r *RegistrationHandle) states(ctx context.Context) (*subscription[State], error) {
	var opened *C.callsheet_states_t
	s, there := &subscription[State]{}, false
	err := subscribe(ctx, r.client.conn, "following the states of "+r.ID(), s,
		func(_ *C.callsheet_client_t, err **C.callsheet_error_t) C.callsheet_code {
			number := C.callsheet_code(C.CALLSHEET_CLOSED)
			there = r.inner.object.use(func(ptr unsafe.Pointer) {
				number = C.callsheet_states_open((*C.callsheet_registration_t)(ptr), &opened, err)
			})
			return number
		})
	if failed, ok := err.(*Error); !there && (!ok || failed.Code == CodeClosed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.free = func() { C.callsheet_states_free(opened) }
	s.next = func() (State, C.callsheet_code, error) {
		var state C.callsheet_state
		var object *C.callsheet_error_t
		number := C.callsheet_states_next(opened, 0, &state, nil, &object)
		if number != C.CALLSHEET_OK {
			return "", number, outcome(number, object)
		}
		return states[C.int32_t(state)], number, nil
	}
	C.callsheet_states_set_tag(opened, C.uint64_t(s.tag))
	return s, nil
}
