package api

// Shapes of the operations on OpenID Connect providers. Names are those of the IAM API reference
// where it has the same thing.
var (
	shapeProviderURL = text("OpenIDConnectProviderUrl", 1, MaxIssuer, newPattern(`[!-~]+`))
	shapeClientIDs   = &Shape{Kind: KindList, Name: "ClientIDList", Min: 1, Max: MaxClientIDs,
		Item: text("ClientID", 1, MaxClientID, nil)}
	shapeKeysURL      = text("KeysURL", 1, MaxARN, newPattern(`[!-~]+`))
	shapeProviderInfo = structure("ProviderInfo",
		optional("Url", shapeProviderURL, ""),
		optional("OpenIDConnectProviderArn", shapeFree, ""),
		optional("ClientIDList", shapeClientIDs, ""),
		optional("KeysURL", shapeKeysURL, ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("Version", shapeVersion, ""))

	memberProvider = required("Url", shapeProviderURL, "URL of the provider, as iss of its "+
		"tokens has it.").flag("url")
)

var providerOperations = func() []*Operation {
	list, paging := pageOf("ListOpenIDConnectProviders", "ProviderInfoList", shapeProviderInfo)
	return []*Operation{
		{
			Name: "PutOpenIDConnectProvider", Path: "/weir/putOpenIDConnectProvider",
			Service: Administration, Command: "providers put", Words: []string{"Url"},
			Doc:       "Believe the tokens of an OpenID Connect provider, or change how.",
			Example:   "weir providers put https://id.example.com --client-id weir",
			Resources: aboutProvider,
			Input: structure("PutOpenIDConnectProviderInput", memberProvider,
				required("ClientIDList", shapeClientIDs,
					"Whom tokens are for: aud must have one of these.").flag("client-id"),
				optional("Keys", shapeDocument, "The provider's keys, a JSON Web Key Set: "+
					"file://NAME, or - for standard input.").flag("keys"),
				optional("KeysURL", shapeKeysURL, "Where the provider has its keys; without "+
					"this and the keys themselves, its configuration tells."),
				memberIfVersion),
			Output: structure("PutOpenIDConnectProviderOutput",
				optional("ProviderInfo", shapeProviderInfo, "")),
			NewInput: func() Input { return new(PutOpenIDConnectProviderInput) },
		},
		{
			Name: "ListOpenIDConnectProviders", Path: "/weir/listOpenIDConnectProviders",
			Service: Administration, Command: "providers list",
			Doc:       "List the OpenID Connect providers, all pages of them.",
			Example:   "weir providers list --query 'ProviderInfoList[].Url'",
			Resources: aboutNothing,
			Input: structure("ListOpenIDConnectProvidersInput", memberPageSize,
				memberNextToken),
			Output: list, Paging: paging,
			NewInput: func() Input { return new(ListOpenIDConnectProvidersInput) },
		},
		{
			Name: "DeleteOpenIDConnectProvider", Path: "/weir/deleteOpenIDConnectProvider",
			Service: Administration, Command: "providers delete", Words: []string{"Url"},
			Doc: "Believe no tokens of a provider any more; credentials that they were " +
				"exchanged for stay until they end.",
			Example:   "weir providers delete https://id.example.com",
			Resources: aboutProvider,
			Input: structure("DeleteOpenIDConnectProviderInput", memberProvider,
				memberIfVersion),
			Output:   done("DeleteOpenIDConnectProvider"),
			NewInput: func() Input { return new(DeleteOpenIDConnectProviderInput) },
		},
	}
}()
