// Picks, from the choice until the report.

package callsheet

// #include "shim.h"
// #cgo noescape cs_pick_done
import "C"

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Pick is an instance to call now. Its call counts as under way until Done; one that is never reported stops counting after
// 60 to 120 s. It is a small value: copies are the same pick.
type Pick struct {
	// Instance is what was picked.
	*Instance
	slot *slot
	turn uint64
}

// Done reports how the call went: nil for well, an error for not; one that is [context.Canceled] says that the caller gave
// up, which says nothing about the instance. Only the first report counts.
func (p Pick) Done(err error) {
	if p.slot == nil || !p.slot.turn.CompareAndSwap(p.turn, p.turn+1) {
		return
	}
	outcome := C.int32_t(C.CALLSHEET_OUTCOME_OK)
	if err != nil {
		outcome = C.CALLSHEET_OUTCOME_FAILED
		if errors.Is(err, context.Canceled) {
			outcome = C.CALLSHEET_OUTCOME_CANCELLED
		}
	}
	C.cs_pick_done(&p.slot.raw, outcome)
	slots.Put(p.slot)
}

// slot holds the library's side of a pick until it is reported. It is used again, each time for another turn, so that a
// second report of an old pick is told from the report of the present one.
type slot struct {
	raw  C.cs_pick_t
	turn atomic.Uint64
}

var slots = sync.Pool{New: func() any { return new(slot) }}

// failure returns the error object of a pick that failed.
func (s *slot) failure() *C.callsheet_error_t {
	object := (*C.callsheet_error_t)(pointer(uint64(s.raw.error)))
	s.raw.error = 0
	return object
}

// picked returns the pick, or the error, that the library wrote.
func (s *slot) picked(number C.int32_t) (Pick, error) {
	if number != C.CALLSHEET_OK {
		err := failure(C.callsheet_code(number), s.failure())
		slots.Put(s)
		return Pick{}, err
	}
	turn := s.turn.Load()
	if mark := uint64(s.raw.mark); mark != 0 {
		return Pick{table.get(mark), s, turn}, nil
	}
	// Alive until the pick is reported.
	instance := (*C.callsheet_instance_t)(pointer(uint64(s.raw.instance)))
	return Pick{table.of(instance), s, turn}, nil
}

// pointer returns a pointer of C that was kept as a number. It never was one of Go's, which is what vet asks about.
func pointer(number uint64) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&number))
}
