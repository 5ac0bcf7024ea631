// The client: connecting, closing, and the calls that read. What it shares with everything made of it is in conn.go.

package callsheet

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"strings"
	"unsafe"
)

// Client is a connection to one registry. Any number of goroutines may use it. Close withdraws what it registered; a
// client that is dropped without leaves its registrations to their TTL.
type Client struct {
	conn    *conn
	cleanup runtime.Cleanup
}

// Connect returns a client of the registry at url; of the one that $CALLSHEET_URL names, else local:, for an empty one. It
// does no I/O towards the registry, so that a program starts while its registry is down.
//
// Errors: [ErrConfig], which says what is wrong with the URL, an option or the environment; [ErrInvalidArgument] for a nil
// context; that of a context that has ended.
func Connect(ctx context.Context, url string, options ...Option) (*Client, error) {
	if ctx == nil {
		return nil, invalid("the context is nil; pass context.Background()")
	}
	if ctx.Err() != nil {
		return nil, ended(ctx, "connecting")
	}
	if abi() != C.CALLSHEET_ABI_VERSION {
		return nil, &Error{Code: CodeInternal, Message: "the library does not fit this package: it is version " + LibraryVersion()}
	}
	var a arguments
	defer a.free()
	where := a.optional("url", url)
	given := connectOptions(&a, options)
	if a.err != nil {
		a.err.Code = CodeConfig
		return nil, a.err
	}
	var client *C.callsheet_client_t
	var object *C.callsheet_error_t
	if err := failure(C.callsheet_connect(where, given, &client, &object), object); err != nil {
		return nil, err
	}
	shared, err := newConn(client)
	if err != nil {
		return nil, err
	}
	made := &Client{conn: shared}
	made.cleanup = runtime.AddCleanup(made, func(shared *conn) { go shared.free() }, shared)
	return made, nil
}

// LibraryVersion returns the version of the library, such as "0.1.0".
func LibraryVersion() string { return C.GoString(C.callsheet_version()) }

// abi returns the number of the library's interface.
func abi() uint32 { return uint32(C.callsheet_abi_version()) }

// Source returns the registry's URL, without secrets.
func (c *Client) Source() string { return c.conn.source }

// Close withdraws every registration, ends every watch and channel, and frees what the client holds. When it returns,
// nothing is sent or yielded any more. Closing twice is fine.
//
// Errors: [ErrTimeout] when a registration could not be withdrawn within 5 s and its drain; it then goes with its TTL.
func (c *Client) Close() error {
	c.conn.once.Do(func() {
		c.cleanup.Stop()
		c.conn.err = c.conn.close()
	})
	runtime.KeepAlive(c)
	return c.conn.err
}

// Lookup returns the instances of service that every filter lets through; without one, the healthy ones. It waits for the
// first load, at most the client's timeout, and answers from memory from then on. An empty list is an answer.
//
// Errors: [ErrUnavailable] when the registry can't be read and nothing was read before; [ErrInvalidArgument], [ErrClosed].
func (c *Client) Lookup(ctx context.Context, service string, filters ...Filter) (*Snapshot, error) {
	defer runtime.KeepAlive(c)
	return c.snapshot(ctx, service, filters, call{what: "looking up " + service + " at " + c.conn.source},
		func(client *C.callsheet_client_t, service *C.char, filter *C.callsheet_filter_options_t, tag C.uint64_t,
			call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_lookup_begin(client, service, filter, tag, call, err)
		})
}

// WaitFor waits until service has at least count instances that every filter lets through, and returns them. It waits as
// long as ctx.
//
// Errors: [ErrTimeout] and [ErrCancelled] by the context, [ErrInvalidArgument], [ErrClosed].
func (c *Client) WaitFor(ctx context.Context, service string, count int, filters ...Filter) (*Snapshot, error) {
	defer runtime.KeepAlive(c)
	if count < 0 {
		return nil, invalid("count is %d: it can't be negative", count)
	}
	return c.snapshot(ctx, service, filters, call{what: "waiting for " + service + " at " + c.conn.source, knowsDeadline: true},
		func(client *C.callsheet_client_t, service *C.char, filter *C.callsheet_filter_options_t, tag C.uint64_t,
			call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_wait_for_begin(client, service, filter, C.size_t(count), wait(ctx.Deadline()), tag, call, err)
		})
}

type beginSnapshot func(*C.callsheet_client_t, *C.char, *C.callsheet_filter_options_t, C.uint64_t, **C.callsheet_call_t,
	**C.callsheet_error_t) C.callsheet_code

// snapshot does a call that answers with a snapshot.
func (c *Client) snapshot(ctx context.Context, service string, filters []Filter, todo call, begin beginSnapshot) (*Snapshot, error) {
	var a arguments
	defer a.free()
	name := a.text("service", service)
	filter, key := filterOptions(&a, filters)
	if a.err != nil {
		return nil, a.err
	}
	todo.begin = c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
		err **C.callsheet_error_t) C.callsheet_code {
		return begin(client, name, filter, tag, call, err)
	})
	var answer *C.callsheet_snapshot_t
	todo.take = func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
		return C.callsheet_call_take_snapshot(call, &answer, err)
	}
	if err := c.conn.do(ctx, todo); err != nil {
		return nil, err
	}
	defer C.callsheet_snapshot_free(answer)
	return c.conn.snapshot(answer, service+key), nil
}

type begin = func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code

// begin returns f on the client, CALLSHEET_CLOSED once that was freed.
func (c *conn) begin(f func(*C.callsheet_client_t, C.uint64_t, **C.callsheet_call_t, **C.callsheet_error_t) C.callsheet_code) begin {
	return func(tag C.uint64_t, call **C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
		number := C.callsheet_code(C.CALLSHEET_CLOSED)
		c.client.use(func(ptr unsafe.Pointer) { number = f((*C.callsheet_client_t)(ptr), tag, call, err) })
		return number
	}
}

// Ping asks the registry something cheap now.
//
// Errors: what is wrong with it: [ErrUnavailable], [ErrTimeout], [ErrUnauthenticated], [ErrPermissionDenied];
// [ErrClosed].
func (c *Client) Ping(ctx context.Context) error {
	defer runtime.KeepAlive(c)
	return c.conn.do(ctx, call{what: "asking " + c.conn.source,
		begin: c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
			err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_ping_begin(client, tag, call, err)
		})})
}

// Services returns the names of all services that have an instance, sorted. It waits for the first answer, at most the
// client's timeout.
//
// Errors: [ErrUnavailable], [ErrClosed].
func (c *Client) Services(ctx context.Context) ([]string, error) {
	defer runtime.KeepAlive(c)
	var answer *C.callsheet_names_t
	err := c.conn.do(ctx, call{what: "reading the services at " + c.conn.source,
		begin: c.conn.begin(func(client *C.callsheet_client_t, tag C.uint64_t, call **C.callsheet_call_t,
			err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_services_begin(client, tag, call, err)
		}),
		take: func(call *C.callsheet_call_t, err **C.callsheet_error_t) C.callsheet_code {
			return C.callsheet_call_take_names(call, &answer, err)
		}})
	if err != nil {
		return nil, err
	}
	return readNames(answer), nil
}

// readNames copies a list and frees it.
func readNames(names *C.callsheet_names_t) []string {
	defer C.callsheet_names_free(names)
	list := make([]string, C.callsheet_names_len(names))
	for i := range list {
		list[i] = C.GoString(C.callsheet_names_get(names, C.size_t(i)))
	}
	return list
}

// String says which registry it is a client of.
func (c *Client) String() string {
	return strings.Join([]string{"callsheet.Client(", c.conn.source, ")"}, "")
}
