// Watchers, a caller or a provider in Go: go URL. What they read and say is told in blocking.py: `watch`, `call` and
// `serve`, each once.
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

type command struct {
	Do      string
	Number  int
	Watcher string
	Slot    string
	Service string
	Healthy bool
	Address string
	Port    int
	ID      string
	TTL     int
	N       int
}

func follow(client *callsheet.Client, asked command) {
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

// ending is a caller or a provider.
type ending interface{ end() error }

func begin(client *callsheet.Client, asked command) (ending, error) {
	if asked.Do == "serve" {
		return serve(client, asked)
	}
	return call(client, asked.Service)
}

func main() {
	client, err := callsheet.Connect(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var following sync.WaitGroup
	var others []ending
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked command
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if asked.Do == "watch" {
			following.Add(1)
			go func() {
				defer following.Done()
				follow(client, asked)
			}()
		} else {
			other, err := begin(client, asked)
			if err != nil {
				log.Fatal(err)
			}
			others = append(others, other)
		}
		say(words{"did": asked.Number})
	}
	for _, other := range others {
		if err := other.end(); err != nil {
			log.Fatal(err)
		}
	}
	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	following.Wait()
}
