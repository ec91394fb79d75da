// An ipfilter plugin that also uses the broker: it serves on one brokered connection and asks on another one.
package main

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/ipfilter"
	"github.com/sftpgo/sdk/plugin/ipfilter/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

type brokered struct {
	plugin.NetRPCUnsupportedPlugin
}

func (brokered) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	go broker.AcceptAndServe(broker.NextId(), func(opts []grpc.ServerOption) *grpc.Server {
		return grpc.NewServer(opts...)
	})
	proto.RegisterIPFilterServer(server, &filter{broker: broker})
	return nil
}

func (brokered) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

type filter struct {
	proto.UnimplementedIPFilterServer
	broker *plugin.GRPCBroker
}

func (f *filter) CheckIP(_ context.Context, in *proto.CheckIPRequest) (*emptypb.Empty, error) {
	if in.Ip == "192.0.2.1" {
		return &emptypb.Empty{}, nil
	}
	if _, err := f.broker.Dial(4711); err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	return &emptypb.Empty{}, nil
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: ipfilter.Handshake,
		Plugins:         map[string]plugin.Plugin{ipfilter.PluginName: brokered{}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}
