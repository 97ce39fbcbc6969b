package driver

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sandbar.dev/node/internal/components/storage/pool"
)

// NodePublishVolume implements the node service: a bind mount of the volume's folder.
func (d *Driver) NodePublishVolume(
	ctx context.Context, req *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume ID or the target path is missing")
	}
	if err := checkCapability(req.GetVolumeCapability()); err != nil {
		return nil, err
	}
	volume, err := d.pool.Get(ctx, req.GetVolumeId())
	if err != nil {
		return nil, rpcError(err)
	}
	source, err := d.pool.Path(volume.ID)
	if err != nil {
		return nil, rpcError(err)
	}
	flags, err := parseMountFlags(req.GetVolumeCapability().GetMount().GetMountFlags())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if req.GetReadonly() {
		flags |= unix.MS_RDONLY
	}
	if mode := req.GetVolumeCapability().GetAccessMode().GetMode(); mode == csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER {
		if err := onlyAt(source, req.GetTargetPath()); err != nil {
			return nil, err
		}
	}
	if err := bindMount(source, req.GetTargetPath(), flags); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// onlyAt refuses a volume for a single writer that is published somewhere else already.
func onlyAt(source, target string) error {
	points, err := mountPoints(source)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	for _, point := range points {
		if point != filepath.Clean(target) {
			return status.Errorf(codes.FailedPrecondition, "the volume is for a single writer and already mounted at %s", point)
		}
	}
	return nil
}

// NodeUnpublishVolume implements the node service.
func (d *Driver) NodeUnpublishVolume(
	_ context.Context, req *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume ID or the target path is missing")
	}
	if err := unmount(req.GetTargetPath()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeGetVolumeStats implements the node service. The numbers are those of the file system that the volume shares.
func (d *Driver) NodeGetVolumeStats(
	ctx context.Context, req *csi.NodeGetVolumeStatsRequest,
) (*csi.NodeGetVolumeStatsResponse, error) {
	if req.GetVolumeId() == "" || req.GetVolumePath() == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume ID or the volume path is missing")
	}
	if _, err := d.pool.Get(ctx, req.GetVolumeId()); err != nil {
		return nil, rpcError(err)
	}
	if _, err := os.Stat(req.GetVolumePath()); errors.Is(err, fs.ErrNotExist) {
		return nil, status.Errorf(codes.NotFound, "volume %s is not at %s", req.GetVolumeId(), req.GetVolumePath())
	}
	usage, err := pool.StatPath(req.GetVolumePath())
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{
			Unit: csi.VolumeUsage_BYTES, Total: usage.CapacityBytes,
			Used: usage.UsedBytes, Available: usage.AvailableBytes,
		},
		{Unit: csi.VolumeUsage_INODES, Total: usage.Inodes, Used: usage.UsedInodes, Available: usage.FreeInodes},
	}}, nil
}

// NodeGetCapabilities implements the node service.
func (d *Driver) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	var capabilities []*csi.NodeServiceCapability
	for _, kind := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		capabilities = append(capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: kind}},
		})
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: capabilities}, nil
}

// NodeGetInfo implements the node service.
func (d *Driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.nodeName, AccessibleTopology: d.topology()}, nil
}
