// Filters: which instances a call sees.

package callsheet

// #include "shim.h"
import "C"

import (
	"fmt"
	"maps"
	"unsafe"
)

// Filter says which instances to see: those for which every filter of a call holds. Without one, every healthy instance.
type Filter func(*filter)

type filter struct {
	tags          []string
	zone, version string
	metadata      map[string]string
	unhealthy     bool
}

// Tags lets instances through that have all of these tags.
func Tags(tags ...string) Filter {
	return func(f *filter) { f.tags = append(f.tags, tags...) }
}

// Zone lets instances of this zone through.
func Zone(zone string) Filter {
	return func(f *filter) { f.zone = zone }
}

// Version lets instances of this version through.
func Version(version string) Filter {
	return func(f *filter) { f.version = version }
}

// Metadata lets instances through whose metadata has all of these pairs.
func Metadata(pairs map[string]string) Filter {
	return func(f *filter) {
		if f.metadata == nil {
			f.metadata = map[string]string{}
		}
		maps.Copy(f.metadata, pairs)
	}
}

// Healthy says whether only healthy instances are let through, which is so without it. Healthy(false) takes those with
// [StatusWarning], [StatusCritical] and [StatusDraining] too.
func Healthy(only bool) Filter {
	return func(f *filter) { f.unhealthy = !only }
}

// filterOptions returns the filters for C, NULL for none, and a text that is the same for the same filter.
func filterOptions(a *arguments, given []Filter) (*C.callsheet_filter_options_t, string) {
	var set filter
	for _, one := range given {
		if one != nil {
			one(&set)
		}
	}
	if len(given) == 0 {
		return nil, ""
	}
	made := (*C.callsheet_filter_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_filter_options_t{})))
	*made = C.cs_filter_options()
	made.tags, made.tags_len = a.texts("tags", set.tags)
	made.zone = a.optional("zone", set.zone)
	made.version = a.optional("version", set.version)
	made.metadata, made.metadata_len = a.pairs("metadata", set.metadata)
	made.healthy = C.bool(!set.unhealthy)
	// fmt sorts maps; a service has no blank in its name.
	return made, fmt.Sprintf(" %q %q %q %q %v", set.tags, set.zone, set.version, set.metadata, set.unhealthy)
}
