// The official Go clients of etcd and Consul, beside which callsheet is printed: what a program writes that follows a
// service with one of them, and hopes for the best. Here is what both do, led by `bench.py`.

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// changed is the instance that changes while arrivals are noted.
const changed = "10.0.0.25:8080"

// client follows what is at a place: a prefix of etcd, a service of Consul.
type client interface {
	list(place string) instances
	// follow calls back with each change, for ever.
	follow(place string, changed func(instances))
	close()
}

// instances is what a client has of a place.
type instances interface {
	count() int
	// characters are those of all ids.
	characters() int
	// number is the last change of the instance that changes.
	number() string
}

var input = bufio.NewReader(os.Stdin)

func main() {
	clients := map[string]func(endpoint string) client{"consul": connectConsul, "etcd": connectEtcd}
	modes := map[string]func(connect func() client, place string){"arrive": arrive, "first": first, "hold": hold}
	if len(os.Args) != 5 || clients[os.Args[1]] == nil || modes[os.Args[2]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s consul|etcd arrive|first|hold ENDPOINT PLACE\n", os.Args[0])
		os.Exit(2)
	}
	modes[os.Args[2]](func() client { return clients[os.Args[1]](os.Args[3]) }, os.Args[4])
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

// arrive notes when each change was there, and says for each line what it noted since the last one.
func arrive(connect func() client, place string) {
	var mutex sync.Mutex
	var noted []string
	ready := sync.OnceFunc(func() { fmt.Println("ready") })
	go connect().follow(place, func(instances instances) {
		at := time.Now().UnixNano()
		n := instances.number()
		mutex.Lock()
		noted = append(noted, fmt.Sprintf("%s:%d", n, at))
		mutex.Unlock()
		ready()
	})
	for line() {
		mutex.Lock()
		said := noted
		noted = nil
		mutex.Unlock()
		fmt.Println(strings.Join(said, " "))
	}
}

// first says how long each way from nothing to the first list took.
func first(connect func() client, place string) {
	for line() {
		began := time.Now()
		client := connect()
		read := client.list(place).characters()
		fmt.Println(float64(time.Since(began).Nanoseconds())/1e6, read)
		client.close()
	}
}

// hold shows what many instances weigh.
func hold(connect func() client, place string) {
	client := connect()
	client.list("nobody")
	debug.FreeOSMemory()
	fmt.Println("empty")
	line()
	filled := make(chan int)
	go client.follow(place, func(instances instances) { filled <- instances.count() })
	count := <-filled
	debug.FreeOSMemory()
	fmt.Println(count)
	line()
	runtime.KeepAlive(client)
}
