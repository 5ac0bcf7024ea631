// What waits: the goroutine of each client, the calls that were begun, and what is freed with a client. Nothing here
// knows what a call does.

package callsheet

// #include "shim.h"
// #cgo noescape cs_events
import "C"

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// conn is what a client, and everything made of it, share: the library's client, and the one goroutine that waits for its
// descriptor in Go's netpoller and rings whoever has news. No call into the library waits, so none holds a thread.
type conn struct {
	client  object
	source  string
	timeout time.Duration
	file    *os.File

	mu    sync.Mutex
	bells map[uint64]chan struct{}
	last  uint64
	// Objects of the library that are freed with the client, so that its descriptor goes with it.
	objects map[releaser]struct{}
	senders sync.WaitGroup
	shut    bool
	// closing is closed when Close begins, over when nothing is told any more.
	closing, over chan struct{}

	lists lists

	once  sync.Once
	err   error
	final Stats
}

type releaser interface{ release() }

// object is one object of the library, freed once and never while it is used.
type object struct {
	mu   sync.RWMutex
	ptr  unsafe.Pointer
	free func(unsafe.Pointer)
}

// use calls f with the object, unless it was freed.
func (o *object) use(f func(ptr unsafe.Pointer)) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.ptr == nil {
		return false
	}
	f(o.ptr)
	return true
}

func (o *object) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ptr != nil {
		o.free(o.ptr)
		o.ptr = nil
	}
}

// newConn takes over client.
func newConn(client *C.callsheet_client_t) (*conn, error) {
	c := &conn{
		client: object{ptr: unsafe.Pointer(client), free: func(ptr unsafe.Pointer) {
			C.callsheet_client_free((*C.callsheet_client_t)(ptr))
		}},
		source:  C.GoString(C.callsheet_client_source(client)),
		timeout: time.Duration(C.callsheet_client_timeout_ms(client)) * time.Millisecond,
		bells:   map[uint64]chan struct{}{},
		objects: map[releaser]struct{}{},
		closing: make(chan struct{}),
		over:    make(chan struct{}),
	}
	if err := c.listen(); err != nil {
		c.client.release()
		return nil, err
	}
	return c, nil
}

// listen begins to wait for the client's descriptor. Ours is a copy of it, since each side closes its own.
func (c *conn) listen() error {
	own := C.callsheet_client_fd((*C.callsheet_client_t)(c.client.ptr))
	if own < 0 {
		return &Error{Code: CodeInternal, Message: "can't make a descriptor (see `ulimit -n`)"}
	}
	fd, err := duplicate(int(own))
	if err != nil {
		return &Error{Code: CodeInternal, Message: "can't copy a descriptor (see `ulimit -n`): " + err.Error(), cause: err}
	}
	file := os.NewFile(uintptr(fd), "callsheet")
	// Only what is in the netpoller has deadlines.
	err = file.SetReadDeadline(time.Time{})
	var raw syscall.RawConn
	if err == nil {
		raw, err = file.SyscallConn()
	}
	if err != nil {
		file.Close()
		return &Error{Code: CodeInternal, Message: "can't wait for a descriptor: " + err.Error(), cause: err}
	}
	c.file = file
	go c.serve(raw)
	return nil
}

// serve rings whoever has news until there is nothing to come.
func (c *conn) serve(raw syscall.RawConn) {
	defer close(c.over)
	client := (*C.callsheet_client_t)(c.client.ptr)
	var tags [64]uint64
	// Asked again each time that the descriptor becomes readable; an error is that our copy was closed.
	_ = raw.Read(func(uintptr) bool {
		for {
			var over C.bool
			count := int(C.cs_events(client, (*C.uint64_t)(&tags[0]), C.size_t(len(tags)), &over))
			c.ring(tags[:count])
			if count < len(tags) {
				return bool(over)
			}
		}
	})
}

func (c *conn) ring(tags []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tag := range tags {
		select {
		case c.bells[tag] <- struct{}{}:
		default: // It has rung, or nobody waits any more.
		}
	}
}

// bell returns a tag and the channel that rings when the library tells of it.
func (c *conn) bell() (uint64, chan struct{}) {
	bell := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.bells[c.last] = bell
	return c.last, bell
}

func (c *conn) unbell(tag uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.bells, tag)
}

// grace is how much later than its deadline a context ends a call that knows its deadline itself. Its own answer, which
// says more, comes at the deadline.
const grace = time.Second

// A call is one of the library's calls that may wait.
type call struct {
	// What is done, for errors.
	what string
	// Whether it was told the context's deadline.
	knowsDeadline bool
	begin         func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code
	// Takes the answer; nil for a call that has none.
	take func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code
}

// do begins a call and waits until it or ctx ends; in the latter case the call is cancelled.
func (c *conn) do(ctx context.Context, todo call) error {
	if ctx == nil {
		return invalid("the context is nil; pass context.Background()")
	}
	late := func() bool { return todo.knowsDeadline && errors.Is(ctx.Err(), context.DeadlineExceeded) }
	if ctx.Err() != nil && !late() {
		return ended(ctx, todo.what)
	}
	tag, bell := c.bell()
	defer c.unbell(tag)
	var begun *C.callsheet_call_t
	var object *C.callsheet_error_t
	if err := failure(todo.begin(C.uint64_t(tag), &begun, &object), object); err != nil {
		return err
	}
	// One that runs is cancelled by this.
	defer C.callsheet_call_free(begun)
	select {
	case <-bell:
	case <-c.over:
	case <-ctx.Done():
		if !late() {
			return ended(ctx, todo.what)
		}
		patience := time.NewTimer(grace)
		defer patience.Stop()
		select {
		case <-bell:
		case <-c.over:
		case <-patience.C:
			return ended(ctx, todo.what)
		}
	}
	object = nil
	take := todo.take
	if take == nil {
		take = func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_call_result(call, err)
		}
	}
	number := take(begun, &object)
	if number == C.CALLSHEET_TIMEOUT && object == nil {
		// It runs, and nothing will be told of it.
		return closed("client")
	}
	err := failure(number, object)
	// The context's own timer may be a moment behind.
	deadline, limited := ctx.Deadline()
	if failed, ok := err.(*Error); ok && todo.knowsDeadline && limited && !time.Now().Before(deadline) {
		failed.ended = context.DeadlineExceeded
	}
	return err
}

// own has an object freed with the client at the latest.
func (c *conn) own(o releaser) {
	c.mu.Lock()
	shut := c.shut
	if !shut {
		c.objects[o] = struct{}{}
	}
	c.mu.Unlock()
	if shut {
		o.release()
	}
}

// drop frees an object that nobody has any more.
func (c *conn) drop(o releaser) {
	c.mu.Lock()
	delete(c.objects, o)
	c.mu.Unlock()
	o.release()
}

// send runs f, which ends when closing is closed, in a goroutine that Close waits for.
func (c *conn) send(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closing:
		return closed("client")
	default:
	}
	c.senders.Add(1)
	go func() {
		defer c.senders.Done()
		f()
	}()
	return nil
}

// close withdraws everything, and then frees it.
func (c *conn) close() error {
	c.mu.Lock()
	close(c.closing)
	c.mu.Unlock()
	c.senders.Wait()
	err := c.do(context.Background(), call{what: "closing",
		begin: func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_client_close_begin((*C.callsheet_client_t)(c.client.ptr), tag, call, err)
		}})
	// Calls of others that were begun end now, too.
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-c.over:
	case <-patience.C:
	}
	c.final, _ = c.stats()
	c.free()
	return err
}

// free lets go of everything in the library.
func (c *conn) free() {
	c.file.Close()
	<-c.over
	c.mu.Lock()
	c.shut = true
	objects := c.objects
	c.objects = nil
	c.mu.Unlock()
	for o := range objects {
		o.release()
	}
	c.client.release()
	c.lists.clear()
	table.reclaim()
}
