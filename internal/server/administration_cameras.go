package server

import (
	"context"
	"log/slog"

	"weir/internal/administration"
	"weir/internal/api"
)

// cameraAdministration are the routes of package administration about cameras.
func (s *Server) cameraAdministration(a *administration.Service) []operationRoute {
	const info, debug = slog.LevelInfo, slog.LevelDebug
	return []operationRoute{
		{"AddCamera", info, s.issuing(administer(s, a.AddCamera))},
		{"RenewCamera", info, s.issuing(administer(s, a.RenewCamera))},
		{"ListCameras", debug, administer(s, a.ListCameras)},
		{"DescribeCamera", debug, administer(s, a.DescribeCamera)},
		{"DisableCamera", info, administer(s, a.DisableCamera)},
		{"EnableCamera", info, administer(s, a.EnableCamera)},
		{"DeleteCamera", info, administer(s, a.DeleteCamera)},
		{"RevokeCameraCertificate", info, administer(s, a.RevokeCameraCertificate)},
	}
}

// issuing adds to an answer the address of the listener for cameras.
func (s *Server) issuing(do handler) handler {
	return func(ctx context.Context, req *request) (response, error) {
		answer, err := do(ctx, req)
		if body, ok := answer.(jsonResponse); ok && err == nil {
			if issued, ok := body.output.(*api.IssuedCertificate); ok {
				issued.CameraURL = api.NullIfEmpty(s.cameraURL(req.Request))
			}
		}
		return answer, err
	}
}
