// The control of registries in memory, for tests.

package callsheet

// #include "shim.h"
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// Memory is the registry that clients of memory:name in this process share, with the faults that real ones have: for
// tests. It is kept while anyone holds it.
type Memory struct {
	object *object
}

// OpenMemory returns the registry of this name.
//
// Errors: [ErrInvalidArgument] when no URL could have this name.
func OpenMemory(name string) (*Memory, error) {
	var a arguments
	defer a.free()
	text := a.text("name", name)
	if err := a.failed(); err != nil {
		return nil, err
	}
	var made *C.callsheet_memory_t
	var object_ *C.callsheet_error_t
	if err := failure(C.callsheet_memory_open(text, &made, &object_), object_); err != nil {
		return nil, err
	}
	memory := &Memory{&object{ptr: unsafe.Pointer(made), free: func(ptr unsafe.Pointer) {
		C.callsheet_memory_free((*C.callsheet_memory_t)(ptr))
	}}}
	runtime.AddCleanup(memory, (*object).release, memory.object)
	return memory, nil
}

func (m *Memory) use(f func(memory *C.callsheet_memory_t)) {
	defer runtime.KeepAlive(m)
	m.object.use(func(ptr unsafe.Pointer) { f((*C.callsheet_memory_t)(ptr)) })
}

// Close lets go of the registry. Closing twice is fine; what is asked of it afterwards does nothing.
func (m *Memory) Close() { m.object.release() }

// Unreachable makes every request fail with [ErrUnavailable] and every watch break, until switched off.
func (m *Memory) Unreachable(on bool) {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_unreachable(memory, C.bool(on)) })
}

// Refuse makes every request fail with [ErrPermissionDenied], until switched off.
func (m *Memory) Refuse(on bool) {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_refuse(memory, C.bool(on)) })
}

// AnswerEmpty makes reads succeed and be empty, as from a cluster without a leader, until switched off.
func (m *Memory) AnswerEmpty(on bool) {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_answer_empty(memory, C.bool(on)) })
}

// AnswerWithLists makes watches get whole lists, as from Consul, instead of changes, as from etcd.
func (m *Memory) AnswerWithLists(on bool) {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_answer_with_lists(memory, C.bool(on)) })
}

// Slow makes every request take this long, in whole milliseconds; 0 switches it off.
func (m *Memory) Slow(delay time.Duration) {
	m.use(func(memory *C.callsheet_memory_t) {
		C.callsheet_memory_slow(memory, C.int64_t(delay/time.Millisecond))
	})
}

// LoseLeases makes every lease run out now.
func (m *Memory) LoseLeases() {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_lose_leases(memory) })
}

// Compact forgets the history up to now: a watch that has not followed to its end must load again.
func (m *Memory) Compact() {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_compact(memory) })
}

// ChangeIdentity keeps the data under another cluster identity, with a revision that begins anew.
func (m *Memory) ChangeIdentity() {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_change_identity(memory) })
}

// Wipe deletes everything and changes the identity: a cluster restarted on an empty disk.
func (m *Memory) Wipe() {
	m.use(func(memory *C.callsheet_memory_t) { C.callsheet_memory_wipe(memory) })
}

// Put writes an instance as another tool would: without an owner, and without a lease. What describes the instance is
// used; Address has to be given.
//
// Errors: [ErrInvalidArgument]; [ErrClosed].
func (m *Memory) Put(registration Registration) error {
	var a arguments
	defer a.free()
	options := registration.options(&a)
	if err := a.failed(); err != nil {
		return err
	}
	err := error(closed("registry"))
	m.use(func(memory *C.callsheet_memory_t) {
		var object *C.callsheet_error_t
		err = failure(C.callsheet_memory_put(memory, options, &object), object)
	})
	return err
}

// Delete deletes an instance behind its owner's back.
//
// Errors: [ErrInvalidArgument]; [ErrClosed].
func (m *Memory) Delete(service, id string) error {
	var a arguments
	defer a.free()
	name, text := a.text("service", service), a.text("id", id)
	if err := a.failed(); err != nil {
		return err
	}
	err := error(closed("registry"))
	m.use(func(memory *C.callsheet_memory_t) {
		var object *C.callsheet_error_t
		err = failure(C.callsheet_memory_delete(memory, name, text, &object), object)
	})
	return err
}
