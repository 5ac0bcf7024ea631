// Instances, and the table by which one of the library's is always the same one of Go's.

package callsheet

// #include "shim.h"
// #cgo noescape cs_instance_read
import "C"

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Status says whether an instance should be called.
type Status string

// Every status.
const (
	// StatusPassing is healthy: the only status that lookups, watches and pickers use by default.
	StatusPassing Status = "passing"
	// StatusWarning works, but asks for attention.
	StatusWarning Status = "warning"
	// StatusCritical fails a check.
	StatusCritical Status = "critical"
	// StatusDraining finishes its calls and takes no new ones.
	StatusDraining Status = "draining"
)

var statuses = map[C.int32_t]Status{
	C.CALLSHEET_STATUS_PASSING:  StatusPassing,
	C.CALLSHEET_STATUS_WARNING:  StatusWarning,
	C.CALLSHEET_STATUS_CRITICAL: StatusCritical,
	C.CALLSHEET_STATUS_DRAINING: StatusDraining,
}

// number returns the library's number of a word, 0 for an unknown one.
func number[Word comparable](words map[C.int32_t]Word, wanted Word) C.int32_t {
	for number, word := range words {
		if word == wanted {
			return number
		}
	}
	return 0
}

// Instance is one reachable process of a service, as of when it was read. Instances are shared: do not change one, nor its
// tags and metadata. One that did not change is the same pointer in every snapshot and pick of the process.
type Instance struct {
	// ID is unique within the service.
	ID string
	// Service is the service that it belongs to.
	Service string
	// Address is an IP address or host name.
	Address string
	// Port is the port that it listens on.
	Port int
	// Scheme says how to speak to it, such as "http".
	Scheme string
	// Tags are in the order that they were given in.
	Tags []string
	// Metadata is nil when there is none.
	Metadata map[string]string
	// Weight is its share of calls relative to others, for weighted policies.
	Weight int
	// Zone says where it runs; empty when unknown.
	Zone string
	// Version says what it runs; empty when unknown.
	Version string
	// Status says whether to call it.
	Status Status

	url string
}

// Addr returns address:port, with brackets around an IPv6 address, as [net.Dial] takes it; "" for nil.
func (i *Instance) Addr() string {
	if i == nil {
		return ""
	}
	return net.JoinHostPort(i.Address, strconv.Itoa(i.Port))
}

// URL returns scheme://address:port, without a trailing slash; "" for nil.
func (i *Instance) URL() string {
	if i == nil {
		return ""
	}
	return i.url
}

// String is short, for logs.
func (i *Instance) String() string {
	if i == nil {
		return "no instance"
	}
	return i.Service + "/" + i.ID + " " + i.url + " " + string(i.Status)
}

// equal says whether two instances say the same.
func (i *Instance) equal(other *Instance) bool {
	return i == other || i.ID == other.ID && i.Service == other.Service && i.url == other.url && i.Weight == other.Weight &&
		i.Zone == other.Zone && i.Version == other.Version && i.Status == other.Status &&
		slices.Equal(i.Tags, other.Tags) && maps.Equal(i.Metadata, other.Metadata)
}

// readInstance copies an instance. Its texts are parts of one.
func readInstance(instance *C.callsheet_instance_t) *Instance {
	var read C.cs_instance_t
	var few [48]C.uint32_t
	var small [1024]byte
	lengths, bytes := few[:], small[:]
	for {
		C.cs_instance_read(instance, &read, (*C.char)(unsafe.Pointer(&bytes[0])), C.size_t(len(bytes)), &lengths[0], C.size_t(len(lengths)))
		if int(read.texts) <= len(lengths) && int(read.bytes) <= len(bytes) {
			break
		}
		lengths, bytes = make([]C.uint32_t, read.texts), make([]byte, read.bytes+1)
	}
	all, at := string(bytes[:read.bytes]), 0
	next := func() string {
		text := all[:lengths[at]]
		all, at = all[lengths[at]:], at+1
		return text
	}
	made := &Instance{ID: next(), Service: next(), Address: next(), Scheme: next(), Zone: next(), Version: next(), url: next()}
	made.Port, made.Weight, made.Status = int(read.port), int(read.weight), StatusCritical
	if status, ok := statuses[C.int32_t(read.status)]; ok {
		made.Status = status
	}
	if read.tags > 0 {
		made.Tags = make([]string, read.tags)
		for i := range made.Tags {
			made.Tags[i] = next()
		}
	}
	if read.pairs > 0 {
		made.Metadata = make(map[string]string, read.pairs)
		for range int(read.pairs) {
			key := next()
			made.Metadata[key] = next()
		}
	}
	return made
}

// table has Go's instance for each of the library's, under the number that the library's is marked with. Its mark comes
// back once the library's instance is gone, and only then the number is used for another, so whoever holds a snapshot or
// pick of the library's finds the right one without a lock.
var table instances

const chunkSize = 1024

type chunk [chunkSize]atomic.Pointer[Instance]

type instances struct {
	chunks atomic.Pointer[[]*chunk]
	mu     sync.Mutex
	spare  []uint64
	used   uint64
}

// get returns what is under a mark.
func (t *instances) get(mark uint64) *Instance {
	return t.place(mark).Load()
}

func (t *instances) place(mark uint64) *atomic.Pointer[Instance] {
	at := mark - 1
	return &(*t.chunks.Load())[at/chunkSize][at%chunkSize]
}

// of returns Go's instance for the library's, made if there is none yet.
func (t *instances) of(instance *C.callsheet_instance_t) *Instance {
	if mark := C.callsheet_instance_mark(instance); mark != 0 {
		return t.get(uint64(mark))
	}
	made := readInstance(instance)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.takeBack()
	mark := t.take()
	t.place(mark).Store(made)
	if present := uint64(C.callsheet_instance_set_mark(instance, C.uint64_t(mark))); present != mark {
		// Another goroutine was first.
		t.give(mark)
		return t.get(present)
	}
	return made
}

// take returns a mark that is not in use.
func (t *instances) take() uint64 {
	if last := len(t.spare) - 1; last >= 0 {
		mark := t.spare[last]
		t.spare = t.spare[:last]
		return mark
	}
	if t.used%chunkSize == 0 {
		var chunks []*chunk
		if present := t.chunks.Load(); present != nil {
			chunks = slices.Clone(*present)
		}
		chunks = append(chunks, new(chunk))
		t.chunks.Store(&chunks)
	}
	t.used++
	return t.used
}

func (t *instances) give(mark uint64) {
	t.place(mark).Store(nil)
	t.spare = append(t.spare, mark)
}

// takeBack takes the marks of instances that are gone.
func (t *instances) takeBack() {
	var gone [128]C.uint64_t
	for {
		count := int(C.callsheet_marks_released(&gone[0], C.size_t(len(gone))))
		for _, mark := range gone[:count] {
			t.give(uint64(mark))
		}
		if count < len(gone) {
			return
		}
	}
}

// reclaim lets go of instances that the library let go of.
func (t *instances) reclaim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.takeBack()
}

// held returns how many instances the table has.
func (t *instances) held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.used) - len(t.spare)
}
