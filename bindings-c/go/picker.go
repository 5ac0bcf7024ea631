// Pickers. The library chooses; here is what calls.

package callsheet

// #include "shim.h"
// #cgo noescape cs_pick
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

// Policy says how a picker chooses.
type Policy string

// Every policy.
const (
	// RoundRobin picks each in turn.
	RoundRobin Policy = "round_robin"
	// Random picks any.
	Random Policy = "random"
	// P2C picks the better of two random ones by peak EWMA of latency times calls under way: it adapts to slow instances.
	P2C Policy = "p2c"
)

var policies = map[C.int32_t]Policy{
	C.CALLSHEET_POLICY_ROUND_ROBIN: RoundRobin,
	C.CALLSHEET_POLICY_RANDOM:      Random,
	C.CALLSHEET_POLICY_P2C:         P2C,
}

// Picker is a load balancer over the current snapshot of a service. Any number of goroutines may use it. It has no Close:
// it ends with its client, or when it is dropped.
type Picker struct {
	client *Client
	inner  *picker
}

// Picker returns a load balancer over the instances of service that every filter lets through; without one, the healthy
// ones. It waits for the first load, at most the client's timeout; a registry that is down leaves it empty until it is back.
//
// Errors: [ErrInvalidArgument], [ErrClosed].
func (c *Client) Picker(ctx context.Context, service string, policy Policy, filters ...Filter) (*Picker, error) {
	defer runtime.KeepAlive(c)
	var a arguments
	defer a.free()
	name := a.text("service", service)
	options := (*C.callsheet_picker_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_picker_options_t{})))
	*options = C.cs_picker_options()
	options.policy = number(policies, policy)
	if options.policy == 0 {
		a.refuse(invalid("there is no policy %q; it is one of round_robin, random, p2c", policy))
	}
	options.filter, _ = filterOptions(&a, filters)
	if err := a.failed(); err != nil {
		return nil, err
	}
	var made *C.callsheet_picker_t
	err := c.conn.do(ctx, call{what: "opening a picker of " + service,
		begin: c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
			err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_picker_open_begin(client, name, options, tag, call, err)
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

// pickOther is Pick of another instance than those with these ids, where there is another.
func (p *Picker) pickOther(tried []string) (Pick, error) {
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
	return slot.picked(C.cs_pick_other(p.inner.ptr, first, count, &slot.raw))
}

// PickWait is Pick that waits for an instance to come, as long as ctx.
//
// Errors: [ErrNoInstances] when none came by the context's deadline, which matches [context.DeadlineExceeded] too;
// [ErrCancelled] by the context; [ErrClosed].
func (p *Picker) PickWait(ctx context.Context) (Pick, error) {
	return p.pickWithin(ctx, func() C.int64_t { return wait(ctx.Deadline()) })
}

func (p *Picker) pickWithin(ctx context.Context, limit func() C.int64_t) (Pick, error) {
	defer runtime.KeepAlive(p)
	slot, taken := slots.Get().(*slot), C.int32_t(C.CALLSHEET_CLOSED)
	err := p.client.conn.do(ctx, call{what: "picking an instance", knowsDeadline: true,
		begin: func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			users, open := p.inner.enter()
			if !open {
				return C.CALLSHEET_CLOSED
			}
			defer users.Add(-1)
			return C.callsheet_pick_within_begin(p.inner.ptr, limit(), tag, call, err)
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

// Call picks an instance, calls f with it, and reports how that went. After a failure to connect it tries another
// instance, up to attempts calls in all; any other failure may have had an effect and is returned. It waits up to the
// client's timeout for a first instance.
//
// Errors: what f failed with last; [ErrNoInstances], [ErrCancelled], [ErrTimeout], [ErrClosed] when there was nothing to call.
func (p *Picker) Call(ctx context.Context, attempts int, f func(ctx context.Context, pick Pick) error) error {
	return p.CallIf(ctx, attempts, unconnected, f)
}

// CallIf is Call with a judgement of one's own on which failures another instance may mend: for calls that can be repeated
// safely, more of them.
//
// Errors: as of Call.
func (p *Picker) CallIf(ctx context.Context, attempts int, again func(error) bool, f func(ctx context.Context, pick Pick) error) error {
	if ctx == nil {
		return invalid("the context is nil; pass context.Background()")
	}
	pick, err := p.pickWithin(ctx, func() C.int64_t {
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
		other, gone := p.pickOther(tried)
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
