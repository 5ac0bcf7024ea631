// Snapshots: immutable lists, copied from the library's once per revision.

package callsheet

// #include "shim.h"
// #cgo noescape cs_snapshot_read
// #cgo noescape cs_snapshot_marks
import "C"

import (
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"
)

// Freshness says how far a snapshot can be trusted to show the registry as it is.
type Freshness string

// Every freshness.
const (
	// FreshnessLive: the registry vouches for it.
	FreshnessLive Freshness = "live"
	// FreshnessStale: the registry is unreachable or refuses; this is the last list it gave.
	FreshnessStale Freshness = "stale"
	// FreshnessDisk: the list that was saved on disk, read at a cold start.
	FreshnessDisk Freshness = "disk"
	// FreshnessFallback: from one of the fallback registries.
	FreshnessFallback Freshness = "fallback"
)

var freshnesses = map[C.int32_t]Freshness{
	C.CALLSHEET_FRESHNESS_LIVE:     FreshnessLive,
	C.CALLSHEET_FRESHNESS_STALE:    FreshnessStale,
	C.CALLSHEET_FRESHNESS_DISK:     FreshnessDisk,
	C.CALLSHEET_FRESHNESS_FALLBACK: FreshnessFallback,
}

// Snapshot is an immutable, versioned list of a service's instances, sorted by id. Any number of goroutines may read it,
// for as long as they like.
type Snapshot struct {
	service   string
	revision  uint64
	instances []*Instance
	freshness Freshness
	source    string
	lastError error
	skipped   uint64
	// When it was read, and how old it was then.
	read time.Time
	age  time.Duration
}

// Service returns the service that was asked for.
func (s *Snapshot) Service() string { return s.service }

// Revision returns callsheet's own counter of this watched service, which only grows. Equal revisions of one client,
// service and filter mean the same list.
func (s *Snapshot) Revision() uint64 { return s.revision }

// Len returns how many instances there are.
func (s *Snapshot) Len() int { return len(s.instances) }

// All yields the instances in order of id.
func (s *Snapshot) All() iter.Seq[*Instance] { return slices.Values(s.instances) }

// At returns the instance at this position, in order of id. It panics beyond the last, as a slice does.
func (s *Snapshot) At(index int) *Instance { return s.instances[index] }

// Get returns the instance with this id, and whether there is one.
func (s *Snapshot) Get(id string) (*Instance, bool) {
	at := sort.Search(len(s.instances), func(i int) bool { return s.instances[i].ID >= id })
	if at < len(s.instances) && s.instances[at].ID == id {
		return s.instances[at], true
	}
	return nil, false
}

// Freshness says how far to trust it.
func (s *Snapshot) Freshness() Freshness { return s.freshness }

// Source returns the URL that it came from, without secrets.
func (s *Snapshot) Source() string { return s.source }

// Age returns how long ago the registry last vouched for this list: 0 for a live snapshot, for others the time since
// contact was lost.
func (s *Snapshot) Age() time.Duration {
	if s.freshness == FreshnessLive {
		return 0
	}
	return s.age + time.Since(s.read)
}

// LastError returns why it is not live, or nil.
func (s *Snapshot) LastError() error { return s.lastError }

// Skipped returns how many snapshots came and went before this one because its watch or channel was not read in time; 0
// for one of Lookup or WaitFor.
func (s *Snapshot) Skipped() uint64 { return s.skipped }

// String is short, for logs.
func (s *Snapshot) String() string {
	return fmt.Sprintf("%s: %d instances, %s, revision %d", s.service, len(s.instances), s.freshness, s.revision)
}

// Changes is the difference between two snapshots, each list in order of id.
type Changes struct {
	// Added are instances whose id is new.
	Added []*Instance
	// Removed are instances whose id is gone, as they were.
	Removed []*Instance
	// Changed are instances whose id stayed but that say something else now, as they are.
	Changed []*Instance
}

// ChangesSince returns what became of the instances of previous, which had none when it is nil.
func (s *Snapshot) ChangesSince(previous *Snapshot) Changes {
	var changes Changes
	var before []*Instance
	if previous != nil {
		before = previous.instances
	}
	for _, instance := range s.instances {
		for len(before) > 0 && before[0].ID < instance.ID {
			changes.Removed, before = append(changes.Removed, before[0]), before[1:]
		}
		switch {
		case len(before) == 0 || before[0].ID != instance.ID:
			changes.Added = append(changes.Added, instance)
			continue
		case !before[0].equal(instance):
			changes.Changed = append(changes.Changed, instance)
		}
		before = before[1:]
	}
	changes.Removed = append(changes.Removed, before...)
	return changes
}

// lists has the last list of each service and filter, so that a revision is converted once.
type lists struct {
	mu   sync.Mutex
	last map[string]list
}

type list struct {
	revision  uint64
	instances []*Instance
}

// mostLists bounds what filters that come and go may hold.
const mostLists = 128

func (l *lists) get(key string, revision uint64) ([]*Instance, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, ok := l.last[key]
	return list.instances, ok && list.revision == revision
}

func (l *lists) put(key string, revision uint64, instances []*Instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[string]list{}
	}
	if _, known := l.last[key]; !known && len(l.last) >= mostLists {
		for other := range l.last {
			delete(l.last, other)
			break
		}
	}
	if l.last[key].revision <= revision {
		l.last[key] = list{revision, instances}
	}
}

func (l *lists) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = nil
}

// snapshot copies a snapshot; key stands for its service and filter.
func (c *conn) snapshot(snapshot *C.callsheet_snapshot_t, key string) *Snapshot {
	var read C.cs_snapshot_t
	C.cs_snapshot_read(snapshot, &read)
	made := &Snapshot{
		service:   C.GoString(read.service),
		revision:  uint64(read.revision),
		freshness: FreshnessStale,
		source:    c.source,
		read:      time.Now(),
		age:       time.Duration(read.age_ms) * time.Millisecond,
	}
	if freshness, ok := freshnesses[C.int32_t(read.freshness)]; ok {
		made.freshness = freshness
	}
	if made.freshness != FreshnessLive {
		made.source = C.GoString(read.source)
	}
	if read.last_error != nil {
		made.lastError = readError(read.last_error)
	}
	var known bool
	if made.instances, known = c.lists.get(key, made.revision); known {
		return made
	}
	made.instances = readList(snapshot, int(read.len))
	c.lists.put(key, made.revision, made.instances)
	return made
}

func readList(snapshot *C.callsheet_snapshot_t, count int) []*Instance {
	if count == 0 {
		return nil
	}
	marks, list := make([]C.uint64_t, count), make([]*Instance, count)
	C.cs_snapshot_marks(snapshot, &marks[0], C.size_t(count))
	for i, mark := range marks {
		if mark != 0 {
			list[i] = table.get(uint64(mark))
		} else {
			list[i] = table.of(C.callsheet_snapshot_get(snapshot, C.size_t(i)))
		}
	}
	return list
}
