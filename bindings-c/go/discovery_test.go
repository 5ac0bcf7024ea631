package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

func TestWhatIsRegisteredIsFound(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		provider, consumer := connect(t, url), connect(t, url)
		given := callsheet.Registration{
			Service:  "billing",
			Port:     8080,
			Address:  "::1",
			ID:       "billing-1",
			Scheme:   "grpc",
			Tags:     []string{"v2", "canary"},
			Metadata: map[string]string{"team": "pay", "ключ": "значение"},
			Weight:   7,
			Zone:     "eu-1",
			Version:  "1.2",
		}
		_, err := provider.Register(within(t), given)
		must(t, err)
		snapshot, err := consumer.Lookup(within(t), "billing")
		must(t, err)
		found, ok := snapshot.Get("billing-1")
		if !ok || snapshot.Len() != 1 || found != snapshot.At(0) {
			t.Fatal(snapshot)
		}
		seen := callsheet.Registration{Service: found.Service, Port: found.Port, Address: found.Address, ID: found.ID,
			Scheme: found.Scheme, Tags: found.Tags, Metadata: found.Metadata, Weight: found.Weight, Zone: found.Zone, Version: found.Version}
		if fmt.Sprint(seen) != fmt.Sprint(given) {
			t.Errorf("%v is not %v", seen, given)
		}
		if found.Addr() != "[::1]:8080" || found.URL() != "grpc://[::1]:8080" || found.Status != callsheet.StatusPassing {
			t.Error(found)
		}
		if snapshot.Freshness() != callsheet.FreshnessLive || snapshot.Age() != 0 || snapshot.LastError() != nil ||
			snapshot.Source() != consumer.Source() || snapshot.Service() != "billing" || snapshot.Skipped() != 0 {
			t.Error(snapshot)
		}
		if _, ok := snapshot.Get("billing-2"); ok {
			t.Error("found what is not there")
		}
		names, err := consumer.Services(within(t))
		if must(t, err); !slices.Equal(names, []string{"billing"}) {
			t.Error(names)
		}
		must(t, consumer.Ping(within(t)))
	})
}

func TestFilters(t *testing.T) {
	client := connect(t, "memory:")
	for id, one := range map[string]callsheet.Registration{
		"a": {Port: 1, Tags: []string{"v1"}, Zone: "z1", Version: "1", Metadata: map[string]string{"k": "v", "l": "w"}},
		"b": {Port: 2, Tags: []string{"v1", "v2"}, Zone: "z2", Version: "2", Metadata: map[string]string{"k": "v"}},
		"c": {Port: 3},
	} {
		one.Service, one.ID = "billing", id
		registration, err := client.Register(within(t), one)
		must(t, err)
		if id == "c" {
			must(t, registration.Drain(within(t)))
		}
	}
	for _, test := range []struct {
		filters []callsheet.Filter
		want    string
	}{
		{nil, "[a b]"},
		{[]callsheet.Filter{nil}, "[a b]"},
		{[]callsheet.Filter{callsheet.Tags("v1", "v2")}, "[b]"},
		{[]callsheet.Filter{callsheet.Tags("v1"), callsheet.Tags("v2")}, "[b]"},
		{[]callsheet.Filter{callsheet.Zone("z1")}, "[a]"},
		{[]callsheet.Filter{callsheet.Version("2")}, "[b]"},
		{[]callsheet.Filter{callsheet.Metadata(map[string]string{"k": "v"}), callsheet.Metadata(map[string]string{"l": "w"})}, "[a]"},
		{[]callsheet.Filter{callsheet.Healthy(true)}, "[a b]"},
		{[]callsheet.Filter{callsheet.Healthy(false)}, "[a b c]"},
	} {
		snapshot, err := client.Lookup(within(t), "billing", test.filters...)
		if must(t, err); fmt.Sprint(ids(snapshot)) != test.want {
			t.Errorf("%v, not %s", ids(snapshot), test.want)
		}
	}
}

func TestInstancesThatStayAreTheSame(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	for i := range 3 {
		put(t, memory, fmt.Sprint("i", i), i+1)
	}
	ctx, stop := context.WithCancel(within(t))
	defer stop()
	snapshots := make(chan *callsheet.Snapshot)
	must(t, client.WatchChan(ctx, "billing", snapshots))
	first := receive(t, snapshots)
	put(t, memory, "i1", 99)
	second := receive(t, snapshots)
	if first.At(0) != second.At(0) || first.At(1) == second.At(1) || first.At(2) != second.At(2) {
		t.Error("what stayed is another object, or what changed is the same")
	}
	if changes := second.ChangesSince(first); len(changes.Added)+len(changes.Removed) > 0 || len(changes.Changed) != 1 || changes.Changed[0] != second.At(1) {
		t.Error(changes)
	}
	if changes := second.ChangesSince(nil); len(changes.Added) != 3 {
		t.Error(changes)
	}
	// Also in what other calls and another client see.
	lookup, err := client.Lookup(within(t), "billing", callsheet.Healthy(false))
	must(t, err)
	picker, err := client.Picker(within(t), "billing", callsheet.RoundRobin)
	must(t, err)
	for range 3 {
		pick, err := picker.Pick()
		must(t, err)
		same, ok := lookup.Get(pick.ID)
		if watched, _ := second.Get(pick.ID); !ok || pick.Instance != same || watched != same {
			t.Error("a pick is another object")
		}
		pick.Done(nil)
	}
	must(t, memory.Delete("billing", "i0"))
	put(t, memory, "i9", 9)
	eventually(t, "both changes came", func() bool { second = receive(t, snapshots); return second.At(0).ID == "i1" && second.Len() == 3 })
	if changes := second.ChangesSince(first); fmt.Sprint(len(changes.Added), len(changes.Removed), len(changes.Changed)) != "1 1 1" {
		t.Error(changes)
	}
}

func TestAWatchFollows(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		provider, consumer := connect(t, url), connect(t, url)
		var revisions []uint64
		step := 0
		var registration *callsheet.RegistrationHandle
		for snapshot, err := range consumer.Watch(within(t), "billing") {
			must(t, err)
			revisions = append(revisions, snapshot.Revision())
			if step == 0 {
				registration, err = provider.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
				must(t, err)
			} else if step == 1 && snapshot.Len() == 1 {
				must(t, registration.Close())
			} else if step == 2 && snapshot.Len() == 0 {
				break
			}
			step++
		}
		if !slices.IsSorted(revisions) {
			t.Error(revisions)
		}
		eventually(t, "the watch is gone", func() bool { return consumer.Stats().Subscribers == 0 })
	})
}

func TestAWatchSurvivesItsRegistry(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	put(t, memory, "a", 1)
	var seen []callsheet.Freshness
	for snapshot, err := range client.Watch(within(t), "billing") {
		must(t, err)
		seen = append(seen, snapshot.Freshness())
		if snapshot.Len() != 1 {
			t.Error(snapshot)
		}
		if len(seen) == 1 {
			memory.Unreachable(true)
		} else if snapshot.Freshness() == callsheet.FreshnessStale {
			if !errors.Is(snapshot.LastError(), callsheet.ErrUnavailable) || snapshot.Age() <= 0 {
				t.Error(snapshot.LastError(), snapshot.Age())
			}
			memory.Unreachable(false)
		} else {
			break
		}
	}
	if fmt.Sprint(seen) != "[live stale live]" {
		t.Error(seen)
	}
}

func TestOneWatchCanBeReadOften(t *testing.T) {
	memory, url := shared(t)
	put(t, memory, "a", 1)
	watch := connect(t, url).Watch(within(t), "billing")
	for range 3 {
		for snapshot, err := range watch {
			if must(t, err); snapshot.Len() != 1 {
				t.Error(snapshot)
			}
			break
		}
	}
}

func TestServicesAreFollowed(t *testing.T) {
	client := connect(t, "memory:")
	var seen []string
	for names, err := range client.WatchServices(within(t)) {
		must(t, err)
		seen = append(seen, fmt.Sprint(names))
		if len(seen) == 1 {
			_, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
			must(t, err)
		} else {
			break
		}
	}
	if fmt.Sprint(seen) != "[[] [billing]]" {
		t.Error(seen)
	}
}

func TestTheLatestSnapshotWins(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	ctx, stop := context.WithCancel(within(t))
	defer stop()
	slow, quick := make(chan *callsheet.Snapshot), make(chan *callsheet.Snapshot)
	must(t, client.WatchChan(ctx, "billing", slow))
	must(t, client.WatchChan(ctx, "billing", quick))
	const last = 200
	var last_ *callsheet.Snapshot
	for i := range last + 1 {
		put(t, memory, "a", i+1)
		// Another reader gets every one: nothing waits for the slow one.
		eventually(t, "it comes", func() bool {
			last_ = receive(t, quick)
			return last_.Len() == 1 && last_.At(0).Port == i+1
		})
	}
	eventually(t, "the latest comes", func() bool {
		snapshot := receive(t, slow)
		if snapshot.Len() == 0 || snapshot.At(0).Port < last {
			t.Logf("an old one: %v", snapshot)
		}
		return snapshot.Len() == 1 && snapshot.At(0).Port == last+1 && snapshot.Skipped() > 0
	})
	if last_.At(0).Port != last+1 {
		t.Error(last_)
	}
}

func TestChannelsAreInOrder(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	ctx, stop := context.WithCancel(within(t))
	defer stop()
	const many = 20
	var readers sync.WaitGroup
	shared := make(chan *callsheet.Snapshot)
	for i := range many {
		ch := make(chan *callsheet.Snapshot, i%3)
		must(t, client.WatchChan(ctx, "billing", ch))
		// One channel for many is fine, too.
		must(t, client.WatchChan(ctx, "billing", shared))
		readers.Add(1)
		go func() {
			defer readers.Done()
			port, revision := 0, uint64(0)
			for port < 300 {
				select {
				case snapshot := <-ch:
					if snapshot.Revision() < revision || snapshot.Len() > 0 && snapshot.At(0).Port < port {
						t.Errorf("%v after %d", snapshot, revision)
						return
					}
					revision = snapshot.Revision()
					if snapshot.Len() > 0 {
						port = snapshot.At(0).Port
					}
				case <-ctx.Done():
					t.Error("the last one never came")
					return
				}
			}
		}()
	}
	for i := range 300 {
		put(t, memory, "a", i+1)
		if i%10 == 0 {
			receive(t, shared)
		}
	}
	readers.Wait()
}

func TestACancelledChannelGetsNoMore(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	ctx, stop := context.WithCancel(context.Background())
	ch := make(chan *callsheet.Snapshot)
	must(t, client.WatchChan(ctx, "billing", ch))
	receive(t, ch)
	stop()
	eventually(t, "its watch is gone", func() bool { return client.Stats().Subscribers == 0 })
	put(t, memory, "a", 1)
	_, err := client.WaitFor(within(t), "billing", 1)
	must(t, err)
	select {
	case snapshot := <-ch:
		t.Error(snapshot)
	default:
	}
}

func TestWaitFor(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	go func() {
		for i := range 3 {
			memory.Put(callsheet.Registration{Service: "billing", Address: "h", Port: i + 1})
		}
	}()
	snapshot, err := client.WaitFor(within(t), "billing", 3)
	if must(t, err); snapshot.Len() != 3 {
		t.Error(snapshot)
	}
	if _, err := client.WaitFor(within(t), "billing", -1); !errors.Is(err, callsheet.ErrInvalidArgument) {
		t.Error(err)
	}
}

func TestAnUnreadableRegistryIsUnavailable(t *testing.T) {
	memory, url := shared(t)
	memory.Unreachable(true)
	client := connect(t, url, callsheet.WithTimeout(200*time.Millisecond))
	_, err := client.Lookup(within(t), "billing")
	var failed *callsheet.Error
	if !errors.Is(err, callsheet.ErrUnavailable) || !errors.As(err, &failed) || !failed.Retryable {
		t.Error(err)
	}
}

// BenchmarkWatch is the way of one change from the registry to a loop in Go.
func BenchmarkWatch(b *testing.B) {
	memory, url := shared(b)
	client := connect(b, url)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ports := make(chan int)
	go func() {
		for snapshot := range client.Watch(ctx, "billing") {
			if snapshot != nil && snapshot.Len() > 0 {
				ports <- snapshot.At(0).Port
			}
		}
	}()
	b.ReportAllocs()
	for port := 1; b.Loop(); port = port%60000 + 1 {
		put(b, memory, "a", port)
		for <-ports != port {
		}
	}
}
