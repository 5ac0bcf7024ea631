// Go's values as C's, for the length of one call.

package callsheet

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"math"
	"sort"
	"strings"
	"time"
	"unsafe"
)

// arguments is memory of C for the arguments of one call, and the first thing that was wrong with them.
type arguments struct {
	blocks []unsafe.Pointer
	err    *Error
}

func (a *arguments) free() {
	for _, block := range a.blocks {
		C.free(block)
	}
}

func (a *arguments) refuse(err *Error) {
	if a.err == nil {
		a.err = err
	}
}

// failed returns what was wrong, if something was.
func (a *arguments) failed() error {
	if a.err == nil {
		return nil
	}
	return a.err
}

// text returns a copy for C. A text of C would end at a NUL, so one with a NUL is refused rather than cut.
func (a *arguments) text(name, text string) *C.char {
	if strings.IndexByte(text, 0) >= 0 {
		a.refuse(invalid("%s contains a NUL", name))
		return nil
	}
	made := C.CString(text)
	a.blocks = append(a.blocks, unsafe.Pointer(made))
	return made
}

// optional is text, NULL for an empty one.
func (a *arguments) optional(name, text string) *C.char {
	if text == "" {
		return nil
	}
	return a.text(name, text)
}

// block returns room for count elements of this size, never NULL.
func (a *arguments) block(count int, size uintptr) unsafe.Pointer {
	made := C.calloc(C.size_t(count)+1, C.size_t(size))
	a.blocks = append(a.blocks, made)
	return made
}

// texts returns an array; it is not NULL even when it is empty, unless list is nil.
func (a *arguments) texts(name string, list []string) (**C.char, C.size_t) {
	if list == nil {
		return nil, 0
	}
	first := (**C.char)(a.block(len(list), unsafe.Sizeof((*C.char)(nil))))
	for i, text := range list {
		unsafe.Slice(first, len(list))[i] = a.text(name, text)
	}
	return first, C.size_t(len(list))
}

// pairs returns an array in order of key; it is not NULL even when it is empty, unless pairs is nil.
func (a *arguments) pairs(name string, pairs map[string]string) (*C.callsheet_pair_t, C.size_t) {
	if pairs == nil {
		return nil, 0
	}
	keys := make([]string, 0, len(pairs))
	for key := range pairs {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	first := (*C.callsheet_pair_t)(a.block(len(keys), unsafe.Sizeof(C.callsheet_pair_t{})))
	for i, key := range keys {
		pair := &unsafe.Slice(first, len(keys))[i]
		pair.key = a.text(name, key)
		pair.value = a.text(name, pairs[key])
	}
	return first, C.size_t(len(keys))
}

// duration returns milliseconds, -1 for a zero one, which was not given.
func (a *arguments) duration(duration time.Duration) C.int64_t {
	switch {
	case duration == 0:
		return -1
	case duration < 0:
		// For the library to refuse: not -1, however short it is.
		return min(C.int64_t(duration/time.Millisecond), -2)
	}
	return C.int64_t(duration / time.Millisecond)
}

// wait returns how long the library may wait until deadline, rounded up; negative, which has no end, without one.
func wait(deadline time.Time, ok bool) C.int64_t {
	if !ok {
		return -1
	}
	left := time.Until(deadline)
	if left <= 0 {
		return 0
	}
	return C.int64_t(math.Ceil(float64(left) / float64(time.Millisecond)))
}
