// The rows of `make bench` that are measured in Go, as JSON lines for `bench.py`; with a mode, a URL and mostly a
// service, the process that `bench.py` follows, weighs and counts.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

const (
	rounds    = 9
	calls     = 1_000_000
	instances = 100
	watched   = 300
	// The instance that changes while arrivals are noted.
	changed = "10.0.0.25:8080"
)

var (
	background = context.Background()
	input      = bufio.NewReader(os.Stdin)
)

func main() {
	modes := map[string]func(client *callsheet.Client, service string){"follow": follow, "hold": hold, "arrive": arrive}
	switch {
	case len(os.Args) == 1:
		picks()
	case len(os.Args) == 3 && os.Args[1] == "watches":
		watches(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "first":
		first(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && modes[os.Args[1]] != nil:
		client := must(callsheet.Connect(background, os.Args[2]))
		modes[os.Args[1]](client, os.Args[3])
		check(client.Close())
	default:
		fmt.Fprintf(os.Stderr, "usage: %s [watches URL | follow|hold|arrive|first URL SERVICE]\n", os.Args[0])
		os.Exit(2)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

// line waits for the next line of the input, and says whether there was one.
func line() bool {
	_, err := input.ReadString('\n')
	return err == nil
}

// step tells the other process that something is done, and waits until it has looked.
func step(said ...any) {
	fmt.Println(said...)
	line() // its end says the same
}

// perCall is nanoseconds per call over several rounds: minimum, median and maximum.
func perCall(call func()) [3]float64 {
	var all [rounds]float64
	for round := range all {
		began := time.Now()
		for range calls {
			call()
		}
		all[round] = float64(time.Since(began).Nanoseconds()) / calls
	}
	slices.Sort(all[:])
	return [3]float64{all[0], all[rounds/2], all[rounds-1]}
}

// picks is the hot path, beside two calls that do nothing but cross the boundary.
func picks() {
	memory := must(callsheet.OpenMemory("bench-picks"))
	defer memory.Close()
	for port := 1; port <= instances; port++ {
		check(memory.Put(callsheet.Registration{Service: "billing", Address: "10.0.0.1", Port: port}))
	}
	client := must(callsheet.Connect(background, "memory:bench-picks"))
	for _, row := range []struct {
		policy callsheet.Policy
		goal   string
	}{{callsheet.RoundRobin, "100 ns"}, {callsheet.P2C, "150 ns"}} {
		picker := must(client.Picker(background, "billing", row.policy))
		floor := perCall(func() {
			empty()
			empty()
		})
		figure := perCall(func() {
			pick, err := picker.Pick()
			check(err)
			pick.Done(nil)
		})
		line := must(json.Marshal(map[string]any{
			"name": "Go pick()+done(), " + string(row.policy), "unit": "ns", "figure": figure,
			"floor": "two empty calls", "floor_figure": floor, "goal": row.goal,
		}))
		fmt.Println(string(line))
	}
	check(client.Close())
}

// follow says when it received each change.
func follow(client *callsheet.Client, service string) {
	must(client.WaitFor(background, service, 1))
	snapshots := make(chan *callsheet.Snapshot, 16)
	check(client.WatchChan(background, service, snapshots))
	go func() {
		for snapshot := range snapshots {
			at := time.Now().UnixNano()
			for instance := range snapshot.All() {
				fmt.Println(at, instance.Metadata["n"])
			}
		}
	}()
	step("ready")
}

// hold shows what many instances weigh, and what a change of one makes anew.
func hold(client *callsheet.Client, service string) {
	must(client.Lookup(background, "nobody"))
	debug.FreeOSMemory()
	step("empty")
	held := slices.Collect(must(client.Lookup(background, service)).All())
	debug.FreeOSMemory()
	step(len(held))
	next, stop := iter.Pull2(client.Watch(background, service))
	defer stop()
	following := func() []*callsheet.Instance {
		snapshot, err, _ := next()
		check(err)
		return slices.Collect(snapshot.All())
	}
	before := following()
	fmt.Println("watching")
	fresh := 0
	for fresh == 0 {
		for at, instance := range following() {
			if instance != before[at] {
				fresh++
			}
		}
	}
	step(fresh)
	runtime.KeepAlive(held)
}

// watches follows many services at once.
func watches(url string) {
	client := must(callsheet.Connect(background, url))
	must(client.Lookup(background, "nobody"))
	step("before", runtime.NumGoroutine())
	channels := make([]chan *callsheet.Snapshot, watched)
	for n := range channels {
		channels[n] = make(chan *callsheet.Snapshot, 1)
		check(client.WatchChan(background, fmt.Sprintf("service-%d", n), channels[n]))
		<-channels[n]
	}
	step("after", runtime.NumGoroutine())
	runtime.KeepAlive(channels)
	check(client.Close())
}

// arrive notes when it received each change, and says for each line what it noted since the last one.
func arrive(client *callsheet.Client, service string) {
	var mutex sync.Mutex
	var noted []string
	ready := sync.OnceFunc(func() { fmt.Println("ready") })
	snapshots := make(chan *callsheet.Snapshot, 16)
	check(client.WatchChan(background, service, snapshots))
	go func() {
		for snapshot := range snapshots {
			at := time.Now().UnixNano()
			if instance, there := snapshot.Get(changed); there {
				mutex.Lock()
				noted = append(noted, fmt.Sprintf("%s:%d", instance.Metadata["n"], at))
				mutex.Unlock()
			}
			ready()
		}
	}()
	for line() {
		mutex.Lock()
		said := noted
		noted = nil
		mutex.Unlock()
		fmt.Println(strings.Join(said, " "))
	}
}

// first says how long each way from nothing to the first list took.
func first(url, service string) {
	for line() {
		began := time.Now()
		client := must(callsheet.Connect(background, url))
		read := 0
		for instance := range must(client.Lookup(background, service)).All() {
			read += len(instance.ID)
		}
		fmt.Println(float64(time.Since(began).Nanoseconds())/1e6, read)
		check(client.Close())
	}
}
