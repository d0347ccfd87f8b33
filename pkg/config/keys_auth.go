package config

import (
	"crypto"

	"github.com/zabd/zabd/pkg/auth"
)

const sasl = "SASL"

var authKeys = []key{
	{
		name: "authProvider.X", idle: "a Java class: the schemes digest, ip and world are built in",
	},
	{
		name: "DigestAuthenticationProvider.enabled", takes: yesNo(func(c *Config) *bool { return &c.DigestScheme }), def: "true",
		effect: "`false` takes the scheme digest away: nobody authenticates by it, no list may name it, and no list grants by it.",
		test:   "pkg/daemon.TestListsWithoutTheSchemeDigest",
	},
	{
		name: "DigestAuthenticationProvider.superDigest", takes: text(func(c *Config) *string { return &c.SuperDigest }).or("user:hash"),
		effect: "Whoever authenticates as this user may do everything.", test: "pkg/daemon.TestSuperUser",
	},
	{
		name: "DigestAuthenticationProvider.digestAlg", takes: into("the name of a hash: SHA1, SHA-256, SHA3-256 ...", func(c *Config) *crypto.Hash { return &c.DigestHash }, auth.ParseHash), def: "SHA1",
		effect: "What the scheme digest makes of a password. All servers need the same.", test: "pkg/daemon.TestAuthentication",
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
		name: "ensembleAuthName", takes: list(func(c *Config) *[]string { return &c.EnsembleNames }),
		effect: "Names of this ensemble. A client that says another one by the scheme ensemble is sent away; without any name there is no such scheme.",
		test:   "pkg/daemon.TestAuthentication",
	},
	{
		name: "sessionRequireClientSASLAuth", takes: refused("this release has no SASL that clients could authenticate by"), def: "false",
		effect: "`true` refuses the start: every client would be let in.", test: "pkg/config.TestRefusals",
	},
	{
		name: "enforce.auth.enabled", takes: yesNo(func(c *Config) *bool { return &c.EnforceAuth }), def: "false",
		effect: "Serves only connections that have authenticated by one of enforce.auth.schemes.", test: "pkg/daemon.TestAuthentication",
	},
	{
		name: "enforce.auth.schemes", takes: list(func(c *Config) *[]string { return &c.EnforceAuthSchemes }),
		effect: "The schemes of which one is enough: digest or ip. One that is not there refuses the start.", test: "pkg/daemon.TestAuthentication",
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
