package config

const (
	tls         = "TLS"
	noQuorumTLS = "this release does not encrypt what servers say to each other"
)

// tlsKeys are those that stand alone, and two of each that says how TLS is done: to clients and between servers.
var tlsKeys = append([]key{
	{
		name: "sslQuorum", takes: refused(noQuorumTLS), def: "false",
		effect: "`true` refuses the start: servers would talk in the clear.", test: "pkg/config.TestRefusals",
	},
	{
		name: "portUnification", takes: later(tls, "false"), def: "false",
		effect: "Servers talk in the clear in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	laterTLS("sslQuorumReloadCertFiles", "false"),
	laterTLS("client.certReload", "false"),
	laterTLS("client.portUnification", "false"),
	laterTLS("ssl.authProvider", "x509"),
	{name: "ssl.sslProvider", def: "JDK", idle: "a choice between Java's libraries"},
	{name: "ssl.context.supplier.class", idle: "a Java class"},
	{name: "ssl.quorum.context.supplier.class", idle: "a Java class"},
}, bothTLS()...)

func bothTLS() (keys []key) {
	for _, prefix := range []string{"ssl.", "ssl.quorum."} {
		host := "false" // whether a client's name is looked at
		if prefix == "ssl.quorum." {
			host = "true"
		}
		for _, k := range [][2]string{
			{"keyStore.location"},
			{"keyStore.password"},
			{"keyStore.passwordPath"},
			{"keyStore.type"},
			{"trustStore.location"},
			{"trustStore.password"},
			{"trustStore.passwordPath"},
			{"trustStore.type"},
			{"protocol"},
			{"enabledProtocols"},
			{"ciphersuites"},
			{"hostnameVerification", "true"},
			{"clientHostnameVerification", host},
			{"allowReverseDnsLookup", "false"},
			{"crl", "false"},
			{"ocsp", "false"},
			{"clientAuth", "need"},
			{"handshakeDetectionTimeoutMillis", "5000"},
		} {
			keys = append(keys, laterTLS(prefix+k[0], k[1]))
		}
	}
	return keys
}

// laterTLS is the row of a key that says how something is done that this release does not do, and refuses to start
// where it is demanded.
func laterTLS(name, def string) key {
	return key{
		name: name, takes: later(tls, def), def: def,
		effect: "A detail of TLS, which this release does not have.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}
