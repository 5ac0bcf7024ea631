package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// request is one request of the engine. What may be absent is a pointer, or nil.
type request struct {
	Do, As, Of, Service, State, Status, Note, Outcome, Closes, Kind, ID string
	URL                                                                 *string
	Options                                                             map[string]json.RawMessage
	With                                                                with
	Filter                                                              filter
	Timeout                                                             *float64
	Count                                                               *int
	Policy                                                              *callsheet.Policy
	Key                                                                 *string
	Picks, Attempts                                                     int
	Failed                                                              []string
	Hold, On, Raises                                                    bool
	Seconds                                                             float64
	Fails                                                               map[string]string
}

type with struct {
	Service, Address, ID, Scheme, Zone, Version string
	Port                                        int
	Tags                                        []string
	Metadata                                    map[string]string
	Weight                                      *int
	TTL, Drain                                  *float64
	Ready                                       *bool
	WaitForPort                                 bool `json:"wait_for_port"`
	Check                                       *check
}

type check struct {
	Kind, Address, Target string
	Port                  *int
	Interval, Timeout     *float64
	DeregisterAfter       *float64 `json:"deregister_critical_after"`
}

type filter struct {
	Tags          []string
	Zone, Version *string
	Metadata      map[string]string
	Healthy       *bool
}

func (f filter) filters() []callsheet.Filter {
	var filters []callsheet.Filter
	if f.Tags != nil {
		filters = append(filters, callsheet.Tags(f.Tags...))
	}
	if f.Zone != nil {
		filters = append(filters, callsheet.Zone(*f.Zone))
	}
	if f.Version != nil {
		filters = append(filters, callsheet.Version(*f.Version))
	}
	if f.Metadata != nil {
		filters = append(filters, callsheet.Metadata(f.Metadata))
	}
	if f.Healthy != nil {
		filters = append(filters, callsheet.Healthy(*f.Healthy))
	}
	return filters
}

// pickerOptions are Go's, of a filter and of the options by their names.
func pickerOptions(f filter, given map[string]json.RawMessage) ([]callsheet.PickerOption, error) {
	var options []callsheet.PickerOption
	for _, filter := range f.filters() {
		options = append(options, filter)
	}
	var named struct {
		PreferZone     *string  `json:"prefer_zone"`
		Subset         *int     `json:"subset"`
		ClientID       *string  `json:"client_id"`
		PanicThreshold *int     `json:"panic_threshold"`
		SlowStart      *float64 `json:"slow_start"`
	}
	if text, err := json.Marshal(given); err != nil {
		return nil, err
	} else if err := json.Unmarshal(text, &named); err != nil {
		return nil, err
	}
	if named.PreferZone != nil {
		options = append(options, callsheet.PreferZone(*named.PreferZone))
	}
	if named.Subset != nil {
		options = append(options, callsheet.Subset(*named.Subset))
	}
	if named.ClientID != nil {
		options = append(options, callsheet.ClientID(*named.ClientID))
	}
	if named.PanicThreshold != nil {
		options = append(options, callsheet.PanicThreshold(*named.PanicThreshold))
	}
	if named.SlowStart != nil {
		options = append(options, callsheet.SlowStart(seconds(*named.SlowStart)))
	}
	if ejection := given["ejection"]; string(ejection) == "false" {
		options = append(options, callsheet.Ejection{Disabled: true})
	} else if ejection != nil {
		var numbers struct {
			Failures int `json:"consecutive_failures"`
			Percent  int `json:"max_ejection_percent"`
		}
		if err := json.Unmarshal(ejection, &numbers); err != nil {
			return nil, err
		}
		options = append(options, callsheet.Ejection{ConsecutiveFailures: numbers.Failures, MaxEjectionPercent: numbers.Percent})
	}
	return options, nil
}

func (w with) registration() (callsheet.Registration, error) {
	made := callsheet.Registration{Service: w.Service, Port: w.Port, Address: w.Address, ID: w.ID, Scheme: w.Scheme,
		Tags: w.Tags, Metadata: w.Metadata, Zone: w.Zone, Version: w.Version, WaitForPort: w.WaitForPort}
	if w.Weight != nil {
		made.Weight = *w.Weight
	}
	if w.TTL != nil {
		made.TTL = seconds(*w.TTL)
	}
	if w.Drain != nil {
		made.Drain = seconds(*w.Drain)
	}
	if w.Ready != nil {
		made.Hold = !*w.Ready
	}
	var err error
	if w.Check != nil {
		made.Check, err = w.Check.check()
	}
	return made, err
}

func (c check) check() (callsheet.Check, error) {
	var made callsheet.Check
	switch c.Kind {
	case "ttl":
		made = callsheet.TTL()
	case "heartbeat":
		made = callsheet.Heartbeat(seconds(*c.Interval))
	case "tcp":
		made = callsheet.TCP()
		if c.Port != nil || c.Address != "" {
			port := 0
			if c.Port != nil {
				port = *c.Port
			}
			made = made.At(c.Address, port)
		}
	case "http":
		made = callsheet.HTTP(c.Target)
	case "grpc":
		made = callsheet.GRPC(c.Target)
	default:
		return made, fmt.Errorf("there is no check %q", c.Kind)
	}
	if c.Interval != nil {
		made = made.Interval(seconds(*c.Interval))
	}
	if c.Timeout != nil {
		made = made.Timeout(seconds(*c.Timeout))
	}
	if c.DeregisterAfter != nil {
		made = made.DeregisterCriticalAfter(seconds(*c.DeregisterAfter))
	}
	return made, nil
}

// options are Go's option for each name; what has none is given by its name.
func options(given map[string]json.RawMessage) []callsheet.Option {
	durations := map[string]func(float64) callsheet.Option{
		"ttl":           func(s float64) callsheet.Option { return callsheet.WithTTL(seconds(s)) },
		"timeout":       func(s float64) callsheet.Option { return callsheet.WithTimeout(seconds(s)) },
		"drain":         func(s float64) callsheet.Option { return callsheet.WithDrain(seconds(s)) },
		"empty_hold":    func(s float64) callsheet.Option { return callsheet.WithEmptyHold(seconds(s)) },
		"cache_max_age": func(s float64) callsheet.Option { return callsheet.WithCacheMaxAge(seconds(s)) },
	}
	var options []callsheet.Option
	for name, value := range given {
		number, isNumber := strconv.ParseFloat(string(value), 64)
		if option := durations[name]; option != nil && isNumber == nil {
			options = append(options, option(number))
		} else if name == "cache_size" && number == float64(int(number)) {
			options = append(options, callsheet.WithCacheSize(int(number)))
		} else {
			text := string(value)
			_ = json.Unmarshal(value, &text)
			options = append(options, callsheet.WithOption(name, text))
		}
	}
	return options
}
