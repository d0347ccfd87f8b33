package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/client"
)

// ErrNoInstance says that a service has no instance.
var ErrNoInstance = errors.New("recipe: the service has no instance")

// An Instance is one place where a service is to be had. Its JSON is that of Curator's service discovery.
type Instance struct {
	Service string `json:"name"`
	ID      string `json:"id"` // "" = a GUID is made
	Address string `json:"address"`
	Port    int    `json:"port,omitempty"`
	TLSPort int    `json:"sslPort,omitempty"`
	// Payload is what the service adds. For Curator's clients an object names its Java class in a member "@class".
	Payload    json.RawMessage `json:"payload,omitempty"`
	Registered int64           `json:"registrationTimeUTC"` // milliseconds since 1970; 0 = now
	Type       string          `json:"serviceType"`         // "" = DYNAMIC, which goes with its session
}

// A Registry names services and knows where their instances are.
type Registry struct {
	dir
	o Options
}

// NewRegistry returns the registry below path, where each service is a node and each instance a child of it. Nothing is
// asked of the server.
func NewRegistry(c *client.Client, path string, o Options) *Registry {
	return &Registry{dir{c, path, o.ACL, client.ModeContainer}, o}
}

func (r *Registry) service(name string) *Group { return NewGroup(r.c, r.in(name), r.o) }

// Register makes an instance known for as long as the session lives; Release takes it away.
func (r *Registry) Register(ctx context.Context, i Instance) (*Membership, error) {
	if i.ID == "" {
		i.ID = newGUID()
	}
	if i.Registered == 0 {
		i.Registered = time.Now().UnixMilli()
	}
	if i.Type == "" {
		i.Type = "DYNAMIC"
	}
	data, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("recipe: instance of %s: %w", i.Service, err)
	}
	return r.service(i.Service).Join(ctx, i.ID, data)
}

// Services returns the names of the services that are known, in alphabetical order. One whose last instance has gone
// stays for a while.
func (r *Registry) Services(ctx context.Context) ([]string, error) {
	names, err := r.list(ctx)
	slices.Sort(names)
	return names, err
}

// Instances returns those of a service. Nodes that are no instances are left out.
func (r *Registry) Instances(ctx context.Context, service string) ([]Instance, error) {
	members, err := r.service(service).Members(ctx)
	return instances(members), err
}

// Resolve returns one of a service's instances by chance, or ErrNoInstance.
func (r *Registry) Resolve(ctx context.Context, service string) (Instance, error) {
	all, err := r.Instances(ctx, service)
	if err != nil {
		return Instance{}, err
	}
	if len(all) == 0 {
		return Instance{}, fmt.Errorf("%w: %s", ErrNoInstance, service)
	}
	return all[rand.IntN(len(all))], nil
}

// Follow calls f with the instances of a service, and again whenever they change, until ctx or the session ends.
func (r *Registry) Follow(ctx context.Context, service string, f func([]Instance)) error {
	return r.service(service).Follow(ctx, func(members []Member) { f(instances(members)) })
}

func instances(members []Member) []Instance {
	var all []Instance
	for _, m := range members {
		var i Instance
		if json.Unmarshal(m.Data, &i) == nil && i.ID != "" {
			all = append(all, i)
		}
	}
	return all
}
