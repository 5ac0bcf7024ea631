// Consul: the blocking loop of its documentation, which asks for what changed after the last index, and gets the whole
// list of those that pass.

package main

import (
	"net"
	"net/http"
	"strconv"

	"github.com/hashicorp/consul/api"
)

// consulInstances are by host:port, since ids are unique per agent only.
type consulInstances map[string]*api.ServiceEntry

func (instances consulInstances) count() int { return len(instances) }

func (instances consulInstances) characters() (count int) {
	for _, entry := range instances {
		count += len(entry.Service.ID)
	}
	return count
}

func (instances consulInstances) number() string { return instances[changed].Service.Meta["n"] }

type consul struct {
	*api.Client
	transport *http.Transport
}

func connectConsul(endpoint string) client {
	config := api.DefaultConfig()
	config.Address = endpoint
	return consul{must(api.NewClient(config)), config.Transport}
}

func (client consul) close() { client.transport.CloseIdleConnections() }

func (client consul) list(service string) instances {
	instances, _ := client.read(service, 0)
	return instances
}

// read is what is there once it is newer than an index, and its own.
func (client consul) read(service string, after uint64) (consulInstances, uint64) {
	entries, meta, err := client.Health().Service(service, "", true, &api.QueryOptions{WaitIndex: after})
	check(err)
	instances := make(consulInstances, len(entries))
	for _, entry := range entries {
		instances[net.JoinHostPort(entry.Service.Address, strconv.Itoa(entry.Service.Port))] = entry
	}
	return instances, meta.LastIndex
}

func (client consul) follow(service string, changed func(instances)) {
	for index := uint64(0); ; {
		var instances consulInstances
		instances, index = client.read(service, index)
		changed(instances)
	}
}
