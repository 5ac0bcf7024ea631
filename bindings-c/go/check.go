// Checks: how the health of an instance is decided. The library runs them.

package callsheet

// #include "shim.h"
import "C"

import (
	"time"
	"unsafe"
)

// Check says how the health of an instance is decided. The zero value is [TTL].
type Check struct {
	kind              C.int32_t
	interval, timeout time.Duration
	deregister        time.Duration
	address, target   string
	port              int
	elsewhere         bool
}

// TTL is healthy while this process lives and renews.
func TTL() Check { return Check{kind: C.CALLSHEET_CHECK_TTL} }

// Heartbeat is healthy while the program calls [RegistrationHandle.Beat] at least every interval, so that a deadlocked one
// goes critical.
func Heartbeat(interval time.Duration) Check {
	return Check{kind: C.CALLSHEET_CHECK_HEARTBEAT}.Interval(interval)
}

// TCP is healthy while the instance's port accepts connections.
func TCP() Check { return Check{kind: C.CALLSHEET_CHECK_TCP} }

// HTTP is healthy while a GET of target is answered with a status of 200 to 299. A target is a path on the instance such as
// "/health", or a whole http:// URL.
func HTTP(target string) Check { return Check{kind: C.CALLSHEET_CHECK_HTTP, target: target} }

// GRPC is healthy while a gRPC server says of itself that it is SERVING, in the gRPC health protocol and without TLS. A target
// is "host:port", "host:port/service", or "/service" on the instance itself; "" is the instance's own server as a whole.
func GRPC(target string) Check { return Check{kind: C.CALLSHEET_CHECK_GRPC, target: target} }

// At returns a TCP check that connects there instead of to the instance.
func (c Check) At(address string, port int) Check {
	c.address, c.port, c.elsewhere = address, port, true
	return c
}

// Interval returns the check with this time between two runs, at least 100 ms. Default: 5 s.
func (c Check) Interval(interval time.Duration) Check {
	c.interval = explicit(interval)
	return c
}

// Timeout returns the check with this time for one run. Default: 2 s.
func (c Check) Timeout(timeout time.Duration) Check {
	c.timeout = explicit(timeout)
	return c
}

// DeregisterCriticalAfter returns the check with this time, at least a minute, that the instance may be critical before the
// registry removes it. Only Consul does. Default: a minute with TTL, else ten.
func (c Check) DeregisterCriticalAfter(after time.Duration) Check {
	c.deregister = explicit(after)
	return c
}

// explicit keeps a zero that was given apart from one that was not; both are no milliseconds.
func explicit(duration time.Duration) time.Duration {
	if duration == 0 {
		return 1
	}
	return duration
}

// options returns the check for C.
func (c Check) options(a *arguments) *C.callsheet_check_options_t {
	made := (*C.callsheet_check_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_check_options_t{})))
	*made = C.cs_check_options()
	if c.kind != 0 {
		made.kind = c.kind
	}
	made.interval_ms = a.duration(c.interval)
	made.timeout_ms = a.duration(c.timeout)
	made.deregister_critical_after_ms = a.duration(c.deregister)
	made.target = a.optional("target", c.target)
	if c.kind == C.CALLSHEET_CHECK_HTTP {
		made.target = a.text("target", c.target)
	}
	if c.elsewhere {
		made.address = a.text("address", c.address)
		made.port = C.int64_t(c.port)
		if c.port < 0 {
			a.refuse(invalid("the port of a check is %d: it is 1 to 65535", c.port))
		}
	}
	return made
}
