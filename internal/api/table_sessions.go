package api

// Weir's own operations on playback sessions, on the keys that seal their tokens, and on the audit
// log.

var (
	shapeSessionID   = text("SessionId", 32, 32, newPattern(`[0-9a-f]+`))
	shapePrincipal   = text("Principal", 1, MaxARN, newPattern(`[ -~]+`))
	shapeSessionInfo = structure("SessionInfo",
		optional("SessionId", shapeSessionID, ""),
		optional("StreamName", shapeStreamName, ""),
		optional("StreamARN", shapeResourceARN, ""),
		optional("Protocol", enum("Protocol", ProtocolHLS, ProtocolDASH), ""),
		optional("Principal", shapePrincipal, ""),
		optional("Address", shapeFree, ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("ExpirationTime", shapeTimestamp, ""))
	shapeLong       = &Shape{Kind: KindLong, Name: "Long"}
	shapeAuditEvent = structure("AuditEvent",
		optional("Time", shapeTimestamp, ""),
		optional("Event", enum("AuditEventKind", "call", "begin", "end", "lost"), ""),
		optional("Action", shapeFree, ""),
		optional("Decision", enum("AuditDecision", DecisionAllowed, DecisionDenied), ""),
		optional("Outcome", shapeFree, ""),
		optional("Reason", shapeFree, ""),
		optional("Principal", shapeFree, ""),
		optional("AccessKeyId", shapeFree, ""),
		optional("RemoteAddress", shapeFree, ""),
		optional("UserAgent", shapeFree, ""),
		optional("StreamName", shapeFree, ""),
		optional("ResourceARN", shapeFree, ""),
		optional("SessionId", shapeFree, ""),
		optional("RequestId", shapeFree, ""),
		optional("Bytes", shapeLong, ""),
		optional("DurationInMillis", shapeLong, ""),
		optional("Repeated", shapeLong, ""),
		optional("Lost", shapeLong, ""))

	memberOpener = optional("Principal", shapePrincipal,
		"ARN of whoever opened them.").flag("principal")
)

var sessionOperations = func() []*Operation {
	sessions, sessionsPaging := pageOf("ListSessions", "SessionInfoList", shapeSessionInfo)
	events, eventsPaging := pageOf("ListAuditEvents", "AuditEvents", shapeAuditEvent)
	return []*Operation{
		{
			Name: "ListSessions", Path: "/weir/listSessions", Service: Administration,
			Command: "sessions list", Doc: "List the playback sessions that are open.",
			Example:   "weir sessions list --stream-name cam1 --output table",
			Resources: aboutSessionsOf,
			Input: structure("ListSessionsInput", memberStreamName, memberOpener, memberPageSize,
				memberNextToken),
			Output: sessions, Paging: sessionsPaging,
			NewInput: func() Input { return new(ListSessionsInput) },
		},
		{
			Name: "CloseSessions", Path: "/weir/closeSessions", Service: Administration,
			Command: "sessions close", Words: []string{"SessionId"},
			Doc:       "Close a session, or those of a stream or of whoever opened them.",
			Example:   "weir sessions close --stream-name cam1",
			Resources: aboutSession,
			Input: structure("CloseSessionsInput",
				optional("SessionId", shapeSessionID, "Id of one session.").flag("id"),
				optional("StreamName", shapeStreamName, "Name of the stream."), memberOpener),
			Output:   structure("CloseSessionsOutput", optional("Closed", shapeLong, "")),
			NewInput: func() Input { return new(CloseSessionsInput) },
		},
		{
			Name: "RotateTokenKey", Path: "/weir/rotateTokenKey", Service: Administration,
			Command: "keys rotate-token-key",
			Doc: "Seal session URLs, clip links and temporary credentials with new keys from " +
				"now on.",
			Example:   "weir keys rotate-token-key",
			Resources: aboutNothing,
			Input: structure("RotateTokenKeyInput",
				optional("OlderKeys", enum("OlderKeys", OlderKeysKeep, OlderKeysRevoke),
					"KEEP, the default, leaves what is out good until it ends; REVOKE ends every "+
						"session, every link and all temporary credentials at once.")),
			Output: structure("RotateTokenKeyOutput", optional("KeyId", shapeFree, ""),
				optional("CreationTime", shapeTimestamp, ""),
				optional("OlderKeys", shapeLong, ""), optional("Closed", shapeLong, "")),
			NewInput: func() Input { return new(RotateTokenKeyInput) },
		},
		{
			Name: "ListAuditEvents", Path: "/weir/listAuditEvents", Service: Administration,
			Command: "audit", Doc: "Print who did what: the audit log, oldest first.",
			Example: "weir audit --decision denied --start-time 2026-11-29T00:00:00Z " +
				"--output table --query \\\n" +
				"    'AuditEvents[].[Time,Principal,RemoteAddress,Action,StreamName,Reason]'",
			Resources: aboutNothing,
			Input: structure("ListAuditEventsInput",
				optional("StartTime", shapeTimestamp, "From then on."),
				optional("EndTime", shapeTimestamp, "Before then."),
				optional("Principal", shapePrincipal,
					"ARN of who did it, its last part, or the id of the key."),
				optional("StreamName", shapeStreamName, "Name of the stream."),
				optional("ActionName", text("AuditAction", 1, MaxPolicyName,
					newPattern(`[a-zA-Z0-9:-]+`)),
					"Such as DeleteStream or weir:CreateKey.").flag("action"),
				optional("Decision", enum("AuditDecision", DecisionAllowed, DecisionDenied),
					"Only what was allowed, or was not."),
				memberPageSize, memberNextToken),
			Output: events, Paging: eventsPaging,
			NewInput: func() Input { return new(ListAuditEventsInput) },
		},
	}
}()
