// The process in Go that `bench.py` lets pick, follows, weighs and counts.

package main

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

const (
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
	case len(os.Args) == 4 && os.Args[1] == "pick":
		picks(os.Args[2], must(strconv.Atoi(os.Args[3])))
	case len(os.Args) == 4 && os.Args[1] == "floor":
		floors(must(strconv.Atoi(os.Args[3])))
	case len(os.Args) == 3 && os.Args[1] == "watches":
		watches(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "first":
		first(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && modes[os.Args[1]] != nil:
		client := must(callsheet.Connect(background, os.Args[2]))
		modes[os.Args[1]](client, os.Args[3])
		check(client.Close())
	default:
		fmt.Fprintf(os.Stderr, "usage: %s pick|floor POLICY THREADS | watches URL | follow|hold|arrive|first URL SERVICE\n", os.Args[0])
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

// perCall is nanoseconds of one of many calls on each of so many threads.
func perCall(threads int, call func()) float64 {
	var group sync.WaitGroup
	began := time.Now()
	for range threads {
		group.Add(1)
		go func() {
			defer group.Done()
			for range calls {
				call()
			}
		}()
	}
	group.Wait()
	return float64(time.Since(began).Nanoseconds()) / calls
}

// picks says for each line what a pick takes with its Done.
func picks(policy string, threads int) {
	memory := must(callsheet.OpenMemory("bench-picks"))
	defer memory.Close()
	for port := 1; port <= instances; port++ {
		check(memory.Put(callsheet.Registration{Service: "billing", Address: "10.0.0.1", Port: port}))
	}
	client := must(callsheet.Connect(background, "memory:bench-picks"))
	picker := must(client.Picker(background, "billing", callsheet.Policy(policy)))
	for line() {
		fmt.Println(perCall(threads, func() {
			pick, err := picker.Pick()
			check(err)
			pick.Done(nil)
		}))
	}
	check(client.Close())
}

// floors says for each line what two calls take that do nothing but cross the boundary.
func floors(threads int) {
	for line() {
		fmt.Println(perCall(threads, func() {
			empty()
			empty()
		}))
	}
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
