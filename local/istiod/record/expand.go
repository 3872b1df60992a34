package record

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	_ "istio.io/istio/pkg/config/xds" // registers every Envoy and Istio message type
)

// expanded is protojson with every Any opened and keys sorted.
func expanded(m proto.Message) any {
	text, err := protojson.MarshalOptions{Resolver: lenient{protoregistry.GlobalTypes}, UseProtoNames: true}.Marshal(m)
	if err != nil {
		return map[string]any{"unprintable": err.Error()}
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return map[string]any{"unprintable": err.Error()}
	}
	return v
}

// lenient prints an Any of a type that is not linked in as empty, instead of failing the whole message.
type lenient struct{ *protoregistry.Types }

// FindMessageByURL implements protojson's resolver.
func (l lenient) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if t, err := l.Types.FindMessageByURL(url); err == nil {
		return t, nil
	}
	return (&emptypb.Empty{}).ProtoReflect().Type(), nil
}
