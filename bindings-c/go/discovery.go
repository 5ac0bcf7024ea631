// The four-method shape that Go services tend to have, over the client.

package callsheet

import "context"

// ServiceInstance is an instance in the shape that Go services tend to have.
type ServiceInstance struct {
	ID, Name, Address string
	Port              int
	Tags              []string
	Metadata          map[string]string
}

// ServiceDiscovery is the four-method shape that Go services tend to have; see [AsServiceDiscovery].
type ServiceDiscovery interface {
	// Register registers an instance and keeps it registered until Deregister or the client's Close. Without an ID it is
	// address:port. It does not fail because the registry is down.
	Register(service *ServiceInstance) error
	// Deregister withdraws the instance that this client registered with this id.
	Deregister(id string) error
	// GetInstances returns the healthy instances of a service, in order of id.
	GetInstances(serviceName string) ([]*ServiceInstance, error)
	// Watch sends the healthy instances of a service to ch, the current list first, until the client is closed. It returns
	// at once; one goroutine sends, and a list that ch does not take gives way to the next one. ch is not closed.
	Watch(serviceName string, ch chan<- []*ServiceInstance) error
}

// AsServiceDiscovery returns client in the four-method shape. Calls are bounded by the client's timeout.
func AsServiceDiscovery(client *Client) ServiceDiscovery { return discovery{client} }

type discovery struct{ client *Client }

func (d discovery) Register(service *ServiceInstance) error {
	if service == nil {
		return invalid("the instance is nil")
	}
	_, err := d.client.Register(context.Background(), Registration{
		Service:  service.Name,
		Port:     service.Port,
		Address:  service.Address,
		ID:       service.ID,
		Tags:     service.Tags,
		Metadata: service.Metadata,
	})
	return err
}

func (d discovery) Deregister(id string) error {
	return d.client.Deregister(context.Background(), id)
}

func (d discovery) GetInstances(serviceName string) ([]*ServiceInstance, error) {
	snapshot, err := d.client.Lookup(context.Background(), serviceName)
	if err != nil {
		return nil, err
	}
	return serviceInstances(snapshot), nil
}

func (d discovery) Watch(serviceName string, ch chan<- []*ServiceInstance) error {
	if ch == nil {
		return invalid("the channel is nil")
	}
	return watchChan(context.Background(), d.client, serviceName, nil, ch, serviceInstances)
}

// serviceInstances copies a snapshot: the receiver may change what it gets.
func serviceInstances(snapshot *Snapshot) []*ServiceInstance {
	list := make([]*ServiceInstance, 0, snapshot.Len())
	for instance := range snapshot.All() {
		metadata := make(map[string]string, len(instance.Metadata))
		for key, value := range instance.Metadata {
			metadata[key] = value
		}
		list = append(list, &ServiceInstance{
			ID:       instance.ID,
			Name:     instance.Service,
			Address:  instance.Address,
			Port:     instance.Port,
			Tags:     append([]string(nil), instance.Tags...),
			Metadata: metadata,
		})
	}
	return list
}
