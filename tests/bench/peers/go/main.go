// The official Go client, beside which `etcd.py` prints callsheet: what a program writes that follows a service with it,
// and hopes for the best. It reads a prefix, watches from there on, decodes and keeps a map.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// changed is the instance that changes while arrivals are noted.
const changed = "10.0.0.25:8080"

type instance struct {
	ID       string            `json:"id"`
	Service  string            `json:"service"`
	Address  string            `json:"address"`
	Port     int               `json:"port"`
	Scheme   string            `json:"scheme"`
	Tags     []string          `json:"tags"`
	Metadata map[string]string `json:"metadata"`
	Weight   int               `json:"weight"`
	Zone     string            `json:"zone"`
	Version  string            `json:"version"`
	Status   string            `json:"status"`
}

var (
	background = context.Background()
	input      = bufio.NewReader(os.Stdin)
)

func main() {
	modes := map[string]func(endpoint, prefix string){"arrive": arrive, "first": first, "hold": hold}
	if len(os.Args) != 4 || modes[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s arrive|first|hold ENDPOINT PREFIX\n", os.Args[0])
		os.Exit(2)
	}
	modes[os.Args[1]](os.Args[2], os.Args[3])
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

func connect(endpoint string) *clientv3.Client {
	return must(clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second}))
}

func decode(value []byte) *instance {
	decoded := new(instance)
	check(json.Unmarshal(value, decoded))
	return decoded
}

// list is what is there, by what follows the prefix, and as of when.
func list(client *clientv3.Client, prefix string) (map[string]*instance, int64) {
	answer := must(client.Get(background, prefix, clientv3.WithPrefix()))
	instances := make(map[string]*instance, len(answer.Kvs))
	for _, kv := range answer.Kvs {
		instances[strings.TrimPrefix(string(kv.Key), prefix)] = decode(kv.Value)
	}
	return instances, answer.Header.Revision
}

// follow calls back with each change that is in the map.
func follow(client *clientv3.Client, prefix string, changed func(map[string]*instance)) {
	instances, revision := list(client, prefix)
	changed(instances)
	for response := range client.Watch(background, prefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1)) {
		check(response.Err())
		for _, event := range response.Events {
			id := strings.TrimPrefix(string(event.Kv.Key), prefix)
			if event.Type == clientv3.EventTypeDelete {
				delete(instances, id)
			} else {
				instances[id] = decode(event.Kv.Value)
			}
		}
		changed(instances)
	}
}

// arrive notes when each change was there, and says for each line what it noted since the last one.
func arrive(endpoint, prefix string) {
	var mutex sync.Mutex
	var noted []string
	ready := sync.OnceFunc(func() { fmt.Println("ready") })
	go follow(connect(endpoint), prefix, func(instances map[string]*instance) {
		at := time.Now().UnixNano()
		n := instances[changed].Metadata["n"]
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
func first(endpoint, prefix string) {
	for line() {
		began := time.Now()
		client := connect(endpoint)
		instances, _ := list(client, prefix)
		read := 0
		for _, instance := range instances {
			read += len(instance.ID)
		}
		fmt.Println(float64(time.Since(began).Nanoseconds())/1e6, read)
		check(client.Close())
	}
}

// hold shows what many instances weigh.
func hold(endpoint, prefix string) {
	client := connect(endpoint)
	list(client, "/nobody/")
	debug.FreeOSMemory()
	fmt.Println("empty")
	line()
	filled := make(chan int)
	go follow(client, prefix, func(instances map[string]*instance) { filled <- len(instances) })
	count := <-filled
	debug.FreeOSMemory()
	fmt.Println(count)
	line()
	runtime.KeepAlive(client)
}
