package main

import (
	"encoding/json"
	"fmt"
	"log"
	"sync"
	"time"
)

// words is what the program says: a line of JSON.
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

func now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }
