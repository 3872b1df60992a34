package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rawCodec passes messages as bytes: the relay decodes only what it edits.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not a raw message", v)
	}
	return *b, nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not a raw message", v)
	}
	*b = append([]byte(nil), data...)
	return nil
}

// pipe carries every call to istiod and edits the responses of the delta stream.
type pipe struct {
	edit     Edit
	upstream grpc.ClientConnInterface
}

func (p *pipe) handle(_ any, down grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(down)
	if !ok {
		return status.Error(codes.Internal, "a call without a method")
	}
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	md, _ := metadata.FromIncomingContext(ctx)
	up, err := p.upstream.NewStream(metadata.NewOutgoingContext(ctx, withoutTransport(md)),
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go p.requests(down, up, cancel)
	return p.responses(method, up, down)
}

// withoutTransport drops what belongs to one hop and keeps the token.
func withoutTransport(md metadata.MD) metadata.MD {
	md = md.Copy()
	for _, name := range []string{":authority", "content-type", "user-agent", "grpc-accept-encoding", "te"} {
		md.Delete(name)
	}
	return md
}

func (p *pipe) requests(down grpc.ServerStream, up grpc.ClientStream, cancel context.CancelFunc) {
	for {
		var message []byte
		err := down.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			_ = up.CloseSend()
			return
		}
		if err == nil {
			err = up.SendMsg(&message)
		}
		if err != nil {
			cancel()
			return
		}
	}
}

func (p *pipe) responses(method string, up grpc.ClientStream, down grpc.ServerStream) error {
	for {
		var message []byte
		err := up.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if method == deltaMethod {
			edited, err := p.edit.response(message)
			if err != nil {
				log.Print("relay: ", err)
				return status.Error(codes.Internal, err.Error())
			}
			message = edited
		}
		if err := down.SendMsg(&message); err != nil {
			return err
		}
	}
}
