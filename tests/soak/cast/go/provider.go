package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strconv"
	"sync"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// provider listens, says who it is to all who connect, and is registered meanwhile.
type provider struct {
	id           string
	registration *callsheet.RegistrationHandle
	listener     net.Listener
	serving      sync.WaitGroup
}

func serve(client *callsheet.Client, asked command) (*provider, error) {
	registration, err := client.Register(context.Background(), callsheet.Registration{
		Service:     asked.Service,
		Address:     asked.Address,
		Port:        asked.Port,
		ID:          asked.ID,
		TTL:         time.Duration(asked.TTL) * time.Second,
		Metadata:    map[string]string{"n": strconv.Itoa(asked.N)},
		WaitForPort: true,
		Drain:       500 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	// Who begins to follow the states only after Close sees nothing but closed.
	following := make(chan struct{})
	go tell(registration, asked.Slot, following)
	<-following
	listener, err := net.Listen("tcp", net.JoinHostPort(asked.Address, strconv.Itoa(asked.Port)))
	if err != nil {
		return nil, err
	}
	p := &provider{id: asked.ID, registration: registration, listener: listener}
	say(words{"listens": p.id, "at": now()})
	p.serving.Add(1)
	go p.serve()
	return p, nil
}

func tell(registration *callsheet.RegistrationHandle, slot string, following chan<- struct{}) {
	begun := sync.OnceFunc(func() { close(following) })
	for state, err := range registration.States(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		begun()
		say(words{"slot": slot, "state": state})
	}
}

func (p *provider) serve() {
	defer p.serving.Done()
	for {
		connection, err := p.listener.Accept()
		if err != nil {
			return
		}
		// Who called may have been killed meanwhile.
		fmt.Fprintln(connection, p.id)
		connection.Close()
	}
}

// end withdraws, lets calls arrive that are on their way, and listens no more.
func (p *provider) end() error {
	// A registry that can't be told forgets it with its TTL.
	if err := p.registration.Close(); err != nil && !errors.Is(err, callsheet.ErrTimeout) {
		return err
	}
	say(words{"leaves": p.id, "at": now()})
	err := p.listener.Close()
	p.serving.Wait()
	return err
}
