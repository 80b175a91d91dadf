package api

import "time"

// Shapes of the operations on cameras with certificates. Names are those of the AWS IoT API
// reference where it has the same thing.
var (
	shapeCSR    = text("CertificateSigningRequest", 1, MaxCertificateRequest, nil)
	shapeSerial = text("SerialNumber", 2, 59, newPattern(`([0-9A-Fa-f]{2}:?)+`))
	shapeDays   = number(KindInteger, "CertificateDays", int64(MinCertificateLifetime/day),
		int64(MaxCertificateLifetime/day))
	shapeRoleAliases = &Shape{Kind: KindList, Name: "RoleAliases", Max: MaxCameraRoles,
		Item: shapeRoleName}
	shapeCameraInfo = structure("CameraInfo",
		optional("ThingName", shapeThingName, ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("Status", enum("Status", KeyActive, KeyInactive), ""),
		optional("Policies", shapePolicyNames, ""),
		optional("RoleAliases", shapeRoleAliases, ""),
		optional("Tags", shapePrincipalTags, ""),
		optional("CertificateAuthority", enum("CertificateAuthority", AuthorityOwn,
			AuthorityClientCA), ""),
		optional("Certificates", &Shape{Kind: KindList, Name: "Certificates",
			Item: structure("CameraCertificate",
				optional("SerialNumber", shapeSerial, ""),
				optional("NotAfter", shapeTimestamp, ""),
				optional("AcceptedUntil", shapeTimestamp, ""))}, ""),
		optional("RevokedSerialNumbers", &Shape{Kind: KindList, Name: "SerialNumbers",
			Item: shapeSerial}, ""))
	shapeIssued = structure("IssuedCertificate",
		optional("CameraInfo", shapeCameraInfo, ""),
		optional("CertificatePem", shapeFree, ""),
		optional("CaCertificatePem", shapeFree, ""),
		optional("CameraURL", shapeFree, ""))

	memberThing = required("ThingName", shapeThingName, "Name of the camera.").flag("name")
	memberCSR   = optional("CertificateSigningRequest", shapeCSR,
		"A certificate signing request in PEM, such as file://cam1.csr.").flag("csr")
	memberDays = optional("CertificateDays", shapeDays,
		"Days until the certificate ends; 365 by default.").flag("days")
)

const day = 24 * time.Hour

// changeCamera returns an operation on a camera, which answers with the camera or with nothing.
func changeCamera(name, path, command, doc string, newInput func() Input) *Operation {
	return &Operation{
		Name: name, Path: path, Service: Administration, Command: "camera " + command,
		Words: []string{"ThingName"}, Doc: doc, Example: "weir camera " + command + " cam1",
		Resources: aboutCamera,
		Input:     structure(name+"Input", memberThing), Output: done(name), NewInput: newInput,
	}
}

var cameraOperations = func() []*Operation {
	list, paging := pageOf("ListCameras", "CameraInfoList", shapeCameraInfo)
	describe := changeCamera("DescribeCamera", "/weir/describeCamera", "show",
		"Describe a camera and its certificates.",
		func() Input { return new(DescribeCameraInput) })
	describe.Output = structure("DescribeCameraOutput",
		optional("CameraInfo", shapeCameraInfo, ""))
	return []*Operation{
		{
			Name: "AddCamera", Path: "/weir/addCamera", Service: Administration,
			Command: "camera register", Words: []string{"ThingName"},
			Doc: "Add a camera that made its own certificate signing request, or has a " +
				"certificate of --client-ca.",
			Example:   "weir camera register cam1 --csr file://cam1.csr",
			Resources: aboutCamera,
			Input: structure("AddCameraInput", memberThing, memberCSR, memberDays,
				memberPolicies, optional("RoleAliases", shapeRoleAliases,
					"Names of roles that it may have credentials of.").flag("role"),
				memberTags),
			Output: shapeIssued, NewInput: func() Input { return new(AddCameraInput) },
		},
		{
			Name: "RenewCamera", Path: "/weir/renewCamera", Service: Administration,
			Command: "camera reissue", Words: []string{"ThingName"},
			Doc: "Replace a certificate, for a certificate signing request that the camera " +
				"made.",
			Example:   "weir camera reissue cam1 --csr file://cam1.csr",
			Resources: aboutCamera,
			Input: structure("RenewCameraInput", memberThing, needed(memberCSR), memberDays,
				optional("OverlapSeconds", number(KindInteger, "OverlapSeconds", 0,
					int64(MaxCertificateLifetime/time.Second)),
					"How long the certificate before is accepted beside the new one; 0 without "+
						"this.").flag("overlap-seconds")),
			Output: shapeIssued, NewInput: func() Input { return new(RenewCameraInput) },
		},
		{
			Name: "ListCameras", Path: "/weir/listCameras", Service: Administration,
			Command: "camera list", Doc: "List the cameras and the ends of their certificates.",
			Example: "weir camera list --query " +
				"'CameraInfoList[].[ThingName,Status,Certificates[0].NotAfter]' --output text",
			Resources: aboutNothing,
			Input:     structure("ListCamerasInput", memberPageSize, memberNextToken), Output: list,
			Paging: paging, NewInput: func() Input { return new(ListCamerasInput) },
		},
		describe,
		changeCamera("DisableCamera", "/weir/disableCamera", "disable",
			"Make a camera's certificates and credentials open nothing, until it is enabled.",
			func() Input { return new(DisableCameraInput) }),
		changeCamera("EnableCamera", "/weir/enableCamera", "enable",
			"Make a disabled camera work again.",
			func() Input { return new(EnableCameraInput) }),
		changeCamera("DeleteCamera", "/weir/deleteCamera", "rm",
			"Delete a camera; its certificates and credentials open nothing more.",
			func() Input { return new(DeleteCameraInput) }),
		{
			Name: "RevokeCameraCertificate", Path: "/weir/revokeCameraCertificate",
			Service: Administration, Command: "camera revoke",
			Words:     []string{"ThingName", "SerialNumber"},
			Doc:       "Refuse a certificate of a camera, and what credentials it brought.",
			Example:   "weir camera revoke cam1 4d5f2ab09c2e4a7fb1d05c3f7a9e8b21",
			Resources: aboutCamera,
			Input: structure("RevokeCameraCertificateInput", memberThing,
				required("SerialNumber", shapeSerial,
					"Serial number of the certificate, in hexadecimal.").flag("serial")),
			Output:   done("RevokeCameraCertificate"),
			NewInput: func() Input { return new(RevokeCameraCertificateInput) },
		},
	}
}()
