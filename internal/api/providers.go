package api

// ProviderInfo is an OpenID Connect provider whose tokens AssumeRoleWithWebIdentity takes.
type ProviderInfo struct {
	Url                      string     `json:"Url"`
	OpenIDConnectProviderArn string     `json:"OpenIDConnectProviderArn"`
	ClientIDList             []string   `json:"ClientIDList"`
	KeysURL                  *string    `json:"KeysURL"`
	CreationTime             *Timestamp `json:"CreationTime"` // null: not known
	Version                  string     `json:"Version"`
}

// PutOpenIDConnectProviderInput is the body of /weir/putOpenIDConnectProvider.
type PutOpenIDConnectProviderInput struct {
	given
	Url            string   `json:"Url,omitempty"`          // required
	ClientIDList   []string `json:"ClientIDList,omitempty"` // required
	Keys           string   `json:"Keys,omitempty"`
	KeysURL        string   `json:"KeysURL,omitempty"`
	CurrentVersion string   `json:"CurrentVersion,omitempty"`
}

// PutOpenIDConnectProviderOutput answers /weir/putOpenIDConnectProvider.
type PutOpenIDConnectProviderOutput struct {
	ProviderInfo ProviderInfo `json:"ProviderInfo"`
}

// ListOpenIDConnectProvidersInput is the body of /weir/listOpenIDConnectProviders.
type ListOpenIDConnectProvidersInput struct {
	given
	PageRef
}

// ListOpenIDConnectProvidersOutput answers /weir/listOpenIDConnectProviders.
type ListOpenIDConnectProvidersOutput struct {
	ProviderInfoList []ProviderInfo `json:"ProviderInfoList"`
	NextToken        *string        `json:"NextToken"`
}

// DeleteOpenIDConnectProviderInput is the body of /weir/deleteOpenIDConnectProvider.
type DeleteOpenIDConnectProviderInput struct {
	given
	Url            string `json:"Url,omitempty"` // required
	CurrentVersion string `json:"CurrentVersion,omitempty"`
}
