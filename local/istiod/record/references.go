package record

import (
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// references are the names of other resources that one resource mentions.
type references struct{ endpoints, routes, secrets, extensions []string }

// referencesOf walks a resource, Any messages included.
func referencesOf(a *anypb.Any) references {
	var x references
	m, err := a.UnmarshalNew()
	if err != nil {
		return x // a type this program does not know names nothing it could ask for
	}
	if c, ok := m.(*cluster.Cluster); ok && c.GetType() == cluster.Cluster_EDS {
		n := c.GetEdsClusterConfig().GetServiceName()
		if n == "" {
			n = c.Name
		}
		x.endpoints = append(x.endpoints, n)
	}
	x.walk(m.ProtoReflect())
	return x
}

func (x *references) walk(m protoreflect.Message) {
	text := func(field protoreflect.Name) string { return m.Get(m.Descriptor().Fields().ByName(field)).String() }
	switch m.Descriptor().FullName() {
	case "google.protobuf.Any":
		x.walkAny(m)
		return
	case "envoy.extensions.filters.network.http_connection_manager.v3.Rds":
		x.routes = append(x.routes, text("route_config_name"))
	case "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig":
		// "default", "ROOTCA" and mounted files come from the proxy's own agent, not from istiod.
		if n := text("name"); strings.Contains(n, "://") && !strings.HasPrefix(n, "file-") {
			x.secrets = append(x.secrets, n)
		}
	case "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter", "envoy.config.listener.v3.Filter":
		if f := m.Descriptor().Fields().ByName("config_discovery"); f != nil && m.Has(f) {
			x.extensions = append(x.extensions, text("name"))
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		x.walkField(fd, v)
		return true
	})
}

func (x *references) walkAny(m protoreflect.Message) {
	a, ok := m.Interface().(*anypb.Any)
	if !ok {
		return
	}
	t, err := protoregistry.GlobalTypes.FindMessageByURL(a.TypeUrl)
	if err != nil {
		return
	}
	inner := t.New()
	if proto.Unmarshal(a.Value, inner.Interface()) == nil {
		x.walk(inner)
	}
}

func (x *references) walkField(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case fd.IsMap():
		if fd.MapValue().Message() != nil {
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				x.walk(e.Message())
				return true
			})
		}
	case fd.IsList():
		if fd.Message() != nil {
			for i := range v.List().Len() {
				x.walk(v.List().Get(i).Message())
			}
		}
	case fd.Message() != nil:
		x.walk(v.Message())
	}
}
