// Watches of services, of names and of states, as iterators and channels.

package callsheet

// #include "shim.h"
import "C"

import (
	"context"
	"iter"
	"runtime"
	"unsafe"
)

// Watch follows the instances of service that every filter lets through; without one, the healthy ones. It yields the
// current snapshot first, then one per change, whole; a slow reader sees the latest. While the registry is away the same
// instances come as stale, then as live again.
//
// An error is yielded once and ends it: what is wrong with the arguments, or with the context when that ends. When the
// client is closed it ends without one. Each loop over it is a watch of its own, and leaving the loop ends it.
func (c *Client) Watch(ctx context.Context, service string, filters ...Filter) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		defer runtime.KeepAlive(c)
		w, err := c.conn.watch(ctx, service, filters)
		if err != nil {
			yield(nil, err)
			return
		}
		follow(ctx, w, yield)
	}
}

// WatchServices follows the names of all services, sorted; as [Client.Watch].
func (c *Client) WatchServices(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		defer runtime.KeepAlive(c)
		w, err := c.conn.watchServices(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		follow(ctx, w, yield)
	}
}

// WatchChan sends what [Client.Watch] would yield to ch, from one goroutine, until ctx ends or the client is closed. It
// returns at once. A snapshot that ch does not take gives way to the next one, so nothing waits for a slow receiver. The
// channel is not closed, and may be shared. After [Client.Close] has returned nothing is sent.
//
// Errors: [ErrInvalidArgument], [ErrClosed], that of a context that has ended.
func (c *Client) WatchChan(ctx context.Context, service string, ch chan<- *Snapshot, filters ...Filter) error {
	if ch == nil {
		return invalid("the channel is nil")
	}
	return watchChan(ctx, c, service, filters, ch, func(snapshot *Snapshot) *Snapshot { return snapshot })
}

// subscription is a watch of the library's, with what rings when it has news.
type subscription[T any] struct {
	conn *conn
	what string
	tag  uint64
	bell chan struct{}
	next func() (value T, number C.callsheet_code, err error)
	free func()
}

func (s *subscription[T]) end() {
	s.conn.unbell(s.tag)
	s.free()
}

// follow yields each value until an error, the end, or the reader had enough.
func follow[T any](ctx context.Context, s *subscription[T], yield func(T, error) bool) {
	defer s.end()
	var none T
	for {
		select {
		case <-s.bell:
		case <-s.conn.over:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			yield(none, ended(ctx, s.what))
			return
		}
		value, number, err := s.next()
		switch {
		case err != nil:
			yield(none, err)
			return
		case number == C.CALLSHEET_OK:
			if !yield(value, nil) {
				return
			}
		case number == C.CALLSHEET_CLOSED:
			return
		default: // Rung for nothing.
			select {
			case <-s.conn.over:
				return
			default:
			}
		}
	}
}

// watchChan starts the goroutine that sends.
func watchChan[T any](ctx context.Context, c *Client, service string, filters []Filter, ch chan<- T, convert func(*Snapshot) T) error {
	w, err := c.conn.watch(ctx, service, filters)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		w.end()
		return ended(ctx, w.what)
	}
	err = c.conn.send(func() {
		defer runtime.KeepAlive(c)
		defer w.end()
		feed(ctx, w, ch, convert)
	})
	if err != nil {
		w.end()
	}
	return err
}

// feed sends the latest snapshot whenever ch takes one.
func feed[T any](ctx context.Context, w *subscription[*Snapshot], ch chan<- T, convert func(*Snapshot) T) {
	var to chan<- T
	var latest T
	var passed uint64
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-w.conn.closing:
			return
		case to <- latest:
			to = nil
		case <-w.bell:
			snapshot, number, err := w.next()
			switch {
			case err != nil || number == C.CALLSHEET_CLOSED:
				return
			case number == C.CALLSHEET_OK:
				if to != nil {
					passed++
				}
				snapshot.skipped += passed
				to, latest = ch, convert(snapshot)
			}
		}
	}
}

// outcome turns what a `_next` returned into an error; the end and nothing new are none.
func outcome(number C.callsheet_code, object *C.callsheet_error_t) error {
	err := failure(number, object)
	if number == C.CALLSHEET_CLOSED || number == C.CALLSHEET_TIMEOUT {
		return nil
	}
	return err
}

// subscribe opens a watch of any kind.
func subscribe[T any](ctx context.Context, c *conn, what string, s *subscription[T],
	open func(client *C.callsheet_client_t, err **C.callsheet_error_t) C.callsheet_code) error {
	if ctx == nil {
		return invalid("the context is nil; pass context.Background()")
	}
	var object *C.callsheet_error_t
	number := C.callsheet_code(C.CALLSHEET_CLOSED)
	c.client.use(func(ptr unsafe.Pointer) { number = open((*C.callsheet_client_t)(ptr), &object) })
	if number == C.CALLSHEET_CLOSED && object == nil {
		return closed("client")
	}
	if err := failure(number, object); err != nil {
		return err
	}
	s.conn, s.what = c, what
	s.tag, s.bell = c.bell()
	return nil
}

func (c *conn) watch(ctx context.Context, service string, filters []Filter) (*subscription[*Snapshot], error) {
	var a arguments
	defer a.free()
	name := a.text("service", service)
	options, key := filterOptions(&a, filters)
	if err := a.failed(); err != nil {
		return nil, err
	}
	var watch *C.callsheet_watch_t
	s := &subscription[*Snapshot]{}
	err := subscribe(ctx, c, "watching "+service+" at "+c.source, s,
		func(client *C.callsheet_client_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_watch_open(client, name, options, &watch, err)
		})
	if err != nil {
		return nil, err
	}
	s.free = func() { C.callsheet_watch_free(watch) }
	s.next = func() (*Snapshot, C.callsheet_code, error) {
		var snapshot *C.callsheet_snapshot_t
		var object *C.callsheet_error_t
		number := C.callsheet_watch_next(watch, 0, &snapshot, &object)
		if number != C.CALLSHEET_OK {
			return nil, number, outcome(number, object)
		}
		defer C.callsheet_snapshot_free(snapshot)
		made := c.snapshot(snapshot, service+key)
		made.skipped = uint64(C.callsheet_watch_skipped(watch))
		return made, number, nil
	}
	C.callsheet_watch_set_tag(watch, C.uint64_t(s.tag))
	return s, nil
}

func (c *conn) watchServices(ctx context.Context) (*subscription[[]string], error) {
	var watch *C.callsheet_names_watch_t
	s := &subscription[[]string]{}
	err := subscribe(ctx, c, "watching the services at "+c.source, s,
		func(client *C.callsheet_client_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_watch_services(client, &watch, err)
		})
	if err != nil {
		return nil, err
	}
	s.free = func() { C.callsheet_names_watch_free(watch) }
	s.next = func() ([]string, C.callsheet_code, error) {
		var names *C.callsheet_names_t
		var object *C.callsheet_error_t
		number := C.callsheet_names_watch_next(watch, 0, &names, &object)
		if number != C.CALLSHEET_OK {
			return nil, number, outcome(number, object)
		}
		return readNames(names), number, nil
	}
	C.callsheet_names_watch_set_tag(watch, C.uint64_t(s.tag))
	return s, nil
}
