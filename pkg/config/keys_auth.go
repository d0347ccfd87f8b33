package config

const sasl = "SASL"

var authKeys = []key{
	{
		name: "authProvider.X", idle: "a Java class: the schemes digest, ip and world are built in",
	},
	{
		name: "DigestAuthenticationProvider.enabled", takes: refusedUnless("true", "this release cannot turn the scheme digest off"), def: "true",
		effect: "`false` refuses the start: the scheme would go on.", test: "pkg/config.TestRefusals",
	},
	{
		name: "DigestAuthenticationProvider.superDigest", takes: text(func(c *Config) *string { return &c.SuperDigest }).or("user:hash"),
		effect: "Whoever authenticates as this user may do everything.", test: "pkg/daemon.TestSuperUser",
	},
	{
		name: "DigestAuthenticationProvider.digestAlg", takes: refusedUnless("SHA1", "this release knows digests by SHA1 only"), def: "SHA1",
		effect: "Any other refuses the start: nobody's password would be right.", test: "pkg/config.TestRefusals",
	},
	{
		name: "IPAuthenticationProvider.usexforwardedfor", takes: later("a header that says who a client is", "false"), def: "false",
		effect: "A client has the address that it connects from.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "X509AuthenticationProvider.superUser", takes: later(tls, ""),
		effect: "Nobody is known by a certificate in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "superUser", takes: later(sasl, ""),
		effect: "Nobody is known by SASL in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "superUser.X", takes: later(sasl, ""),
		effect: "Nobody is known by SASL in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "SASLAuthenticationProvider.superPassword", takes: later(sasl, ""),
		effect: "Nobody is known by SASL in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "ensembleAuthName", takes: refusedUnless("", "this release does not ask clients which ensemble they mean"),
		effect: "Refuses the start: clients of another ensemble would be served.", test: "pkg/config.TestRefusals",
	},
	{
		name: "sessionRequireClientSASLAuth", takes: refused("this release has no SASL that clients could authenticate by"), def: "false",
		effect: "`true` refuses the start: every client would be let in.", test: "pkg/config.TestRefusals",
	},
	{
		name: "enforce.auth.enabled", takes: refused("this release does not make clients authenticate"), def: "false",
		effect: "`true` refuses the start: every client would be let in.", test: "pkg/config.TestRefusals",
	},
	{
		name: "enforce.auth.schemes", takes: later("a need to authenticate", ""),
		effect: "Which schemes would be enough.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "allowSaslFailedClients", takes: later(sasl, "false"), def: "false",
		effect: "Nobody authenticates by SASL in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "letAnySaslUserDoX", takes: later(sasl, ""),
		effect: "Nobody authenticates by SASL in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	laterSASL("kerberos.removeHostFromPrincipal", "false"),
	laterSASL("kerberos.removeRealmFromPrincipal", "false"),
	laterSASL("kerberos.canonicalizeHostNames", "false"),
	laterSASL("kerberos.minReLoginTimeMs", "60000"),
	laterSASL("security.auth_to_local", "DEFAULT"),
	laterSASL("server.principal", ""),
	laterSASL("server.realm", ""),
	laterSASL("requireKerberosConfig", "false"),
	laterSASL("kinit", ""),
	laterSASL("sasl.serverconfig", "Server"),
	{
		name: "quorum.auth.enableSasl", takes: refused(noQuorumSASL), def: "false",
		effect: "`true` refuses the start: servers would be let in unasked.", test: "pkg/config.TestRefusals",
	},
	{
		name: "quorum.auth.learnerRequireSasl", takes: refused(noQuorumSASL), def: "false",
		effect: "`true` refuses the start: a learner would follow whoever answers.", test: "pkg/config.TestRefusals",
	},
	{
		name: "quorum.auth.serverRequireSasl", takes: refused(noQuorumSASL), def: "false",
		effect: "`true` refuses the start: servers would be let in unasked.", test: "pkg/config.TestRefusals",
	},
	laterSASL("quorum.auth.learner.saslLoginContext", "QuorumLearner"),
	laterSASL("quorum.auth.server.saslLoginContext", "QuorumServer"),
	laterSASL("quorum.auth.kerberos.servicePrincipal", "zkquorum/localhost"),
	{
		name: "fips-mode", takes: later(tls, "true"), def: "true",
		effect: "There is nothing for it to forbid in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
}

// laterSASL is the row of a key that says how something is done that this release does not do, and refuses to start
// where it is demanded.
func laterSASL(name, def string) key {
	return key{
		name: name, takes: later(sasl, def), def: def,
		effect: "A detail of SASL, which this release does not have.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}
