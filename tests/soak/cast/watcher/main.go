// Watchers in Go: watcher URL. What they read and say is told in blocking.py: `watch`, each once.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

type watch struct {
	Number  int
	Watcher string
	Service string
	Healthy bool
}

type words map[string]any

var lock sync.Mutex

func say(said words) {
	line, err := json.Marshal(said)
	if err != nil {
		log.Fatal(err)
	}
	lock.Lock()
	defer lock.Unlock()
	fmt.Println(string(line))
}

func follow(client *callsheet.Client, asked watch) {
	snapshots := client.Watch(context.Background(), asked.Service, callsheet.Healthy(asked.Healthy))
	for snapshot, err := range snapshots {
		if err != nil {
			say(words{"did": asked.Number, "failed": err.Error()})
			return
		}
		instances := []string{}
		for i := range snapshot.All() {
			instances = append(instances, fmt.Sprintf("%s %s %s", i.ID, i.Metadata["n"], i.Status))
		}
		say(words{
			"saw":       asked.Watcher,
			"revision":  snapshot.Revision(),
			"freshness": snapshot.Freshness(),
			"instances": instances,
		})
	}
}

func main() {
	client, err := callsheet.Connect(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var following sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked watch
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		following.Add(1)
		go func() {
			defer following.Done()
			follow(client, asked)
		}()
		say(words{"did": asked.Number})
	}
	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	following.Wait()
}
