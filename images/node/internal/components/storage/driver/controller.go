package driver

import (
	"context"
	"sort"
	"strconv"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sandbar.dev/node/internal/components/storage/pool"
)

// CreateVolume implements the controller service.
func (d *Driver) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume's name is missing")
	}
	if len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "the volume capabilities are missing")
	}
	for _, capability := range req.GetVolumeCapabilities() {
		if err := checkCapability(capability); err != nil {
			return nil, err
		}
	}
	if req.GetVolumeContentSource() != nil {
		return nil, status.Error(codes.InvalidArgument, Name+" cannot make a volume from a snapshot or another volume")
	}
	if unknown := sortedKeys(req.GetParameters()); len(unknown) > 0 {
		return nil, status.Errorf(codes.InvalidArgument, "storage class parameters %q are not known to %s", unknown, Name)
	}
	bytes, err := requestedBytes(req.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	volume, err := d.pool.Create(ctx, req.GetName(), bytes)
	if err != nil {
		return nil, rpcError(err)
	}
	return &csi.CreateVolumeResponse{Volume: d.toCSI(volume)}, nil
}

// DeleteVolume implements the controller service.
func (d *Driver) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume ID is missing")
	}
	// An ID that this pool could not have given out names no volume of ours, and what is not there is deleted.
	if err := d.pool.Delete(ctx, req.GetVolumeId()); err != nil && status.Code(rpcError(err)) != codes.NotFound {
		return nil, rpcError(err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// ValidateVolumeCapabilities implements the controller service.
func (d *Driver) ValidateVolumeCapabilities(
	ctx context.Context, req *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" || len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "the volume ID or the volume capabilities are missing")
	}
	if _, err := d.pool.Get(ctx, req.GetVolumeId()); err != nil {
		return nil, rpcError(err)
	}
	for _, capability := range req.GetVolumeCapabilities() {
		if err := checkCapability(capability); err != nil {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: status.Convert(err).Message()}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
			VolumeContext:      req.GetVolumeContext(),
			VolumeCapabilities: req.GetVolumeCapabilities(),
			Parameters:         req.GetParameters(),
		},
	}, nil
}

// ListVolumes implements the controller service. A token is the position to go on from.
func (d *Driver) ListVolumes(ctx context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	volumes, err := d.pool.List(ctx)
	if err != nil {
		return nil, rpcError(err)
	}
	start := 0
	if token := req.GetStartingToken(); token != "" {
		start, err = strconv.Atoi(token)
		if err != nil || start < 0 || start > len(volumes) {
			return nil, status.Errorf(codes.Aborted, "%q is not a token of this list", token)
		}
	}
	end := len(volumes)
	response := &csi.ListVolumesResponse{}
	if limit := int(req.GetMaxEntries()); limit > 0 && start+limit < end {
		end = start + limit
		response.NextToken = strconv.Itoa(end)
	}
	for _, volume := range volumes[start:end] {
		response.Entries = append(response.Entries, &csi.ListVolumesResponse_Entry{Volume: d.toCSI(volume)})
	}
	return response, nil
}

// GetCapacity implements the controller service.
func (d *Driver) GetCapacity(ctx context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	for _, capability := range req.GetVolumeCapabilities() {
		if checkCapability(capability) != nil {
			return &csi.GetCapacityResponse{AvailableCapacity: 0}, nil
		}
	}
	if node, given := req.GetAccessibleTopology().GetSegments()[TopologyKey]; given && node != d.nodeName {
		return &csi.GetCapacityResponse{AvailableCapacity: 0}, nil
	}
	usage, err := d.pool.Usage(ctx)
	if err != nil {
		return nil, rpcError(err)
	}
	return &csi.GetCapacityResponse{AvailableCapacity: usage.AvailableBytes}, nil
}

// ControllerGetCapabilities implements the controller service.
func (d *Driver) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	var capabilities []*csi.ControllerServiceCapability
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
		csi.ControllerServiceCapability_RPC_GET_CAPACITY,
		csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		capabilities = append(capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: kind}},
		})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: capabilities}, nil
}

func (d *Driver) topology() *csi.Topology {
	return &csi.Topology{Segments: map[string]string{TopologyKey: d.nodeName}}
}

func (d *Driver) toCSI(volume pool.Volume) *csi.Volume {
	return &csi.Volume{
		VolumeId:           volume.ID,
		CapacityBytes:      volume.Bytes,
		AccessibleTopology: []*csi.Topology{d.topology()},
	}
}

// requestedBytes is the size that a new volume records: what is required, or what is at most allowed.
func requestedBytes(capacity *csi.CapacityRange) (int64, error) {
	required, limit := capacity.GetRequiredBytes(), capacity.GetLimitBytes()
	switch {
	case required < 0 || limit < 0:
		return 0, status.Error(codes.OutOfRange, "a size cannot be negative")
	case limit > 0 && required > limit:
		return 0, status.Errorf(codes.OutOfRange, "%d bytes are required and %d are the limit", required, limit)
	case required == 0:
		return limit, nil
	default:
		return required, nil
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
