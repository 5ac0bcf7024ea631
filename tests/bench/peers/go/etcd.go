// etcd: it reads a prefix, watches from there on, decodes and keeps a map.

package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type etcdInstance struct {
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

// etcdInstances are by what follows the prefix.
type etcdInstances map[string]*etcdInstance

func (instances etcdInstances) count() int { return len(instances) }

func (instances etcdInstances) characters() (count int) {
	for _, instance := range instances {
		count += len(instance.ID)
	}
	return count
}

func (instances etcdInstances) number() string { return instances[changed].Metadata["n"] }

type etcd struct{ *clientv3.Client }

func connectEtcd(endpoint string) client {
	return etcd{must(clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second}))}
}

func (client etcd) close() { check(client.Close()) }

func (client etcd) list(prefix string) instances {
	instances, _ := client.read(prefix)
	return instances
}

// read is what is there, and as of when.
func (client etcd) read(prefix string) (etcdInstances, int64) {
	answer := must(client.Get(context.Background(), prefix, clientv3.WithPrefix()))
	instances := make(etcdInstances, len(answer.Kvs))
	for _, kv := range answer.Kvs {
		instances[strings.TrimPrefix(string(kv.Key), prefix)] = decode(kv.Value)
	}
	return instances, answer.Header.Revision
}

func decode(value []byte) *etcdInstance {
	decoded := new(etcdInstance)
	check(json.Unmarshal(value, decoded))
	return decoded
}

func (client etcd) follow(prefix string, changed func(instances)) {
	instances, revision := client.read(prefix)
	changed(instances)
	options := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(revision + 1)}
	for response := range client.Watch(context.Background(), prefix, options...) {
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
