// Pickers. The library chooses; here is what calls.

package callsheet

// #include "shim.h"
// #cgo noescape cs_pick
// #cgo noescape cs_pick_key
// #cgo noescape cs_pick_other
import "C"

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Picker is a load balancer over the current snapshot of a service. Any number of goroutines may use it. It has no Close:
// it ends with its client, or when it is dropped.
type Picker struct {
	client *Client
	inner  *picker
}

// Picker returns a load balancer over the instances of service that every [Filter] among the options lets through; without
// one, the healthy ones. It waits for the first load, at most the client's timeout; a registry that is down leaves it empty until it is back.
//
// Errors: [ErrInvalidArgument], [ErrClosed].
func (c *Client) Picker(ctx context.Context, service string, policy Policy, options ...PickerOption) (*Picker, error) {
	defer runtime.KeepAlive(c)
	var a arguments
	defer a.free()
	name := a.text("service", service)
	given := pickerOptions(&a, policy, options)
	if err := a.failed(); err != nil {
		return nil, err
	}
	var made *C.callsheet_picker_t
	err := c.conn.do(ctx, call{what: "opening a picker of " + service,
		begin: c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
			err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_picker_open_begin(client, name, given, tag, call, err)
		}),
		take: func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_call_take_picker(call, &made, err)
		}})
	if err != nil {
		return nil, err
	}
	opened, conn := &Picker{c, &picker{ptr: made}}, c.conn
	conn.own(opened.inner)
	runtime.AddCleanup(opened, func(inner *picker) { conn.drop(inner) }, opened.inner)
	return opened, nil
}

// picker is the library's, freed once and never while it is used. Those who use it are counted in shards, since a counter
// that all processors write would cost more than the pick.
type picker struct {
	ptr    *C.callsheet_picker_t
	shut   atomic.Bool
	shards [8]struct {
		users atomic.Int64
		_     [56]byte
	}
}

// enter counts its caller in, unless it was freed; leave with the same shard counts it out.
func (p *picker) enter() (*atomic.Int64, bool) {
	// Goroutines that run at once have different stacks.
	var here byte
	users := &p.shards[uintptr(unsafe.Pointer(&here))>>12%uintptr(len(p.shards))].users
	users.Add(1)
	if p.shut.Load() {
		users.Add(-1)
		return nil, false
	}
	return users, true
}

func (p *picker) release() {
	if p.shut.Swap(true) {
		return
	}
	// Whoever comes from now on turns round; the others are done in a moment, since no call waits.
	for i := range p.shards {
		for p.shards[i].users.Load() != 0 {
			runtime.Gosched()
		}
	}
	C.callsheet_picker_free(p.ptr)
}

// Pick picks one instance to call. It never waits and does no I/O. Report how the call went with [Pick.Done].
//
// Errors: [ErrNoInstances], [ErrClosed].
func (p *Picker) Pick() (Pick, error) {
	users, open := p.inner.enter()
	if !open {
		return Pick{}, closed("picker")
	}
	slot := slots.Get().(*slot)
	number := C.cs_pick(p.inner.ptr, &slot.raw)
	users.Add(-1)
	runtime.KeepAlive(p)
	return slot.picked(number)
}

// PickKey is [Picker.Pick] for a key, such as a user or a file: [RingHash] and [Maglev] give the same instance for the same
// key, in every process and language that sees the same instances; without a key they pick any. To the other policies a key
// means nothing.
func (p *Picker) PickKey(key string) (Pick, error) {
	users, open := p.inner.enter()
	if !open {
		return Pick{}, closed("picker")
	}
	slot := slots.Get().(*slot)
	first, length := bytes(key)
	number := C.cs_pick_key(p.inner.ptr, first, length, &slot.raw)
	users.Add(-1)
	runtime.KeepAlive(p)
	return slot.picked(number)
}

// bytes returns a text's own for a call of C's that keeps nothing of them.
func bytes(text string) (unsafe.Pointer, C.size_t) {
	return unsafe.Pointer(unsafe.StringData(text)), C.size_t(len(text))
}

// pickOther is Pick, or PickKey with a key, of another instance than those with these ids, where there is another.
func (p *Picker) pickOther(tried []string, key *string) (Pick, error) {
	users, open := p.inner.enter()
	if !open {
		return Pick{}, closed("picker")
	}
	defer runtime.KeepAlive(p)
	defer users.Add(-1)
	var a arguments
	defer a.free()
	first, count := a.texts("tried", tried)
	slot := slots.Get().(*slot)
	if key == nil {
		return slot.picked(C.cs_pick_other(p.inner.ptr, first, count, &slot.raw))
	}
	data, length := bytes(*key)
	return slot.picked(C.cs_pick_key_other(p.inner.ptr, data, length, first, count, &slot.raw))
}

// PickWait is Pick that waits for an instance to come, as long as ctx.
//
// Errors: [ErrNoInstances] when none came by the context's deadline, which matches [context.DeadlineExceeded] too;
// [ErrCancelled] by the context; [ErrClosed].
func (p *Picker) PickWait(ctx context.Context) (Pick, error) {
	return p.pickWithin(ctx, nil, func() C.int64_t { return wait(ctx.Deadline()) })
}

// PickKeyWait is [Picker.PickKey] that waits for an instance to come, as [Picker.PickWait] does.
func (p *Picker) PickKeyWait(ctx context.Context, key string) (Pick, error) {
	return p.pickWithin(ctx, &key, func() C.int64_t { return wait(ctx.Deadline()) })
}

func (p *Picker) pickWithin(ctx context.Context, key *string, limit func() C.int64_t) (Pick, error) {
	defer runtime.KeepAlive(p)
	slot, taken := slots.Get().(*slot), C.int32_t(C.CALLSHEET_CLOSED)
	err := p.client.conn.do(ctx, call{what: "picking an instance", knowsDeadline: true,
		begin: func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			users, open := p.inner.enter()
			if !open {
				return C.CALLSHEET_CLOSED
			}
			defer users.Add(-1)
			if key == nil {
				return C.callsheet_pick_within_begin(p.inner.ptr, limit(), tag, call, err)
			}
			data, length := bytes(*key)
			return C.callsheet_pick_key_within_begin(p.inner.ptr, data, length, limit(), tag, call, err)
		},
		take: func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			taken = C.int32_t(C.cs_take_pick(call, &slot.raw))
			*err = slot.failure()
			return C.callsheet_code(taken)
		}})
	if err != nil {
		slots.Put(slot)
		return Pick{}, err
	}
	return slot.picked(taken)
}

// Len returns how many instances it picks from now.
func (p *Picker) Len() int {
	defer runtime.KeepAlive(p)
	users, open := p.inner.enter()
	if !open {
		return 0
	}
	defer users.Add(-1)
	return int(C.callsheet_picker_len(p.inner.ptr))
}

// Ejected returns the ids of the instances that are ejected now, because calls to them failed ([Ejection]).
func (p *Picker) Ejected() []string {
	defer runtime.KeepAlive(p)
	users, open := p.inner.enter()
	if !open {
		return nil
	}
	defer users.Add(-1)
	var names *C.callsheet_names_t
	if C.callsheet_picker_ejected(p.inner.ptr, &names, nil) != C.CALLSHEET_OK {
		return nil
	}
	return readNames(names)
}

// Call picks an instance, calls f with it, and reports how that went. After a failure to connect it tries another
// instance, up to attempts calls in all; any other failure may have had an effect and is returned. It waits up to the
// client's timeout for a first instance.
//
// Errors: what f failed with last; [ErrNoInstances], [ErrCancelled], [ErrTimeout], [ErrClosed] when there was nothing to call.
func (p *Picker) Call(ctx context.Context, attempts int, f func(ctx context.Context, pick Pick) error) error {
	return p.callIf(ctx, nil, attempts, unconnected, f)
}

// CallKey is [Picker.Call] for a key, as of [Picker.PickKey]: another attempt goes to the next instance of the same key.
//
// Errors: as of Call.
func (p *Picker) CallKey(ctx context.Context, key string, attempts int, f func(ctx context.Context, pick Pick) error) error {
	return p.callIf(ctx, &key, attempts, unconnected, f)
}

// CallIf is Call with a judgement of one's own on which failures another instance may mend: for calls that can be repeated
// safely, more of them.
//
// Errors: as of Call.
func (p *Picker) CallIf(ctx context.Context, attempts int, again func(error) bool, f func(ctx context.Context, pick Pick) error) error {
	return p.callIf(ctx, nil, attempts, again, f)
}

func (p *Picker) callIf(ctx context.Context, key *string, attempts int, again func(error) bool, f func(ctx context.Context, pick Pick) error) error {
	if ctx == nil {
		return invalid("the context is nil; pass context.Background()")
	}
	pick, err := p.pickWithin(ctx, key, func() C.int64_t {
		limit := time.Now().Add(p.client.conn.timeout)
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
			limit = deadline
		}
		return wait(limit, true)
	})
	if err != nil {
		return err
	}
	for tried := []string{pick.ID}; ; tried = append(tried, pick.ID) {
		// Also when f panics.
		err := func() (failed error) {
			failed = errPanicked
			defer func() { pick.Done(failed) }()
			return f(ctx, pick)
		}()
		if err == nil || len(tried) >= attempts || ctx.Err() != nil || !again(err) {
			return err
		}
		other, gone := p.pickOther(tried, key)
		if gone != nil {
			// All have gone meanwhile, of which the call's own error says more.
			return err
		}
		pick = other
	}
}

var errPanicked = errors.New("callsheet: the call panicked")

// unconnected says whether an error says that no connection was made, so that the call had no effect.
func unconnected(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "dial"
}
