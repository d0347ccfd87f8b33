package config

import (
	"slices"
	"strings"
	"testing"
)

// asking are values that ask for features of later releases, whose absence protects nobody less.
const asking = `
secureClientPortAddress=127.0.0.1
localSessionsEnabled=true
localSessionsUpgradingEnabled=true
observerMasterPort=2191
observerMaster.sizeLimit=1
connection_throttle_local_session_weight=2
readonlymode.enabled=true
pathStats.enabled=true
pathStats.slotCapacity=1
pathStats.slotDuration=1
pathStats.maxDepth=1
pathStats.sampleRate=1
pathStats.initialDelay=1
pathStats.delay=1
pathStats.topPathMax=1
IPAuthenticationProvider.usexforwardedfor=true
X509AuthenticationProvider.superUser=CN=a
superUser=a
superUser.1=b
SASLAuthenticationProvider.superPassword=x
allowSaslFailedClients=true
letAnySaslUserDoX=a
kerberos.removeHostFromPrincipal=true
kerberos.removeRealmFromPrincipal=true
kerberos.canonicalizeHostNames=true
kerberos.minReLoginTimeMs=1
security.auth_to_local=x
server.principal=a
server.realm=b
requireKerberosConfig=true
kinit=/k
sasl.serverconfig=s
quorum.auth.learner.saslLoginContext=x
quorum.auth.server.saslLoginContext=x
quorum.auth.kerberos.servicePrincipal=x
fips-mode=false
portUnification=true
sslQuorumReloadCertFiles=true
client.certReload=true
client.portUnification=true
ssl.authProvider=x
ssl.keyStore.location=x
ssl.keyStore.password=x
ssl.keyStore.passwordPath=x
ssl.keyStore.type=x
ssl.trustStore.location=x
ssl.trustStore.password=x
ssl.trustStore.passwordPath=x
ssl.trustStore.type=x
ssl.protocol=x
ssl.enabledProtocols=x
ssl.ciphersuites=x
ssl.hostnameVerification=false
ssl.clientHostnameVerification=true
ssl.allowReverseDnsLookup=true
ssl.crl=true
ssl.ocsp=true
ssl.clientAuth=none
ssl.handshakeDetectionTimeoutMillis=1
ssl.quorum.keyStore.location=x
ssl.quorum.keyStore.password=x
ssl.quorum.keyStore.passwordPath=x
ssl.quorum.keyStore.type=x
ssl.quorum.trustStore.location=x
ssl.quorum.trustStore.password=x
ssl.quorum.trustStore.passwordPath=x
ssl.quorum.trustStore.type=x
ssl.quorum.protocol=x
ssl.quorum.enabledProtocols=x
ssl.quorum.ciphersuites=x
ssl.quorum.hostnameVerification=false
ssl.quorum.clientHostnameVerification=false
ssl.quorum.allowReverseDnsLookup=true
ssl.quorum.crl=true
ssl.quorum.ocsp=true
ssl.quorum.clientAuth=none
ssl.quorum.handshakeDetectionTimeoutMillis=1
admin.portUnification=true
admin.needClientAuth=true
metricsProvider.httpsPort=7002
metricsProvider.ssl.keyStore.location=x
metricsProvider.ssl.keyStore.password=x
metricsProvider.ssl.keyStore.type=x
metricsProvider.ssl.trustStore.location=x
metricsProvider.ssl.trustStore.password=x
metricsProvider.ssl.trustStore.type=x
metricsProvider.ssl.need.client.auth=x
metricsProvider.ssl.want.client.auth=x
metricsProvider.ssl.enabledProtocols=x
metricsProvider.ssl.ciphersuites=x
messageTracker.Enabled=true
messageTracker.BufferSize=1
`

// TestKeysOfLaterReleases: a key whose feature comes later leaves it closed, and the log names the key. Its default, and
// no value at all, ask for nothing.
func TestKeysOfLaterReleases(t *testing.T) {
	lines := slices.Collect(strings.Lines(strings.TrimLeft(asking, "\n")))
	_, warnings, err := Load(write(t, "dataDir=/d\n"+strings.Join(lines, "")), nil, nil)
	if err != nil || len(warnings) != len(lines) {
		t.Fatalf("%d warnings for %d keys, %v", len(warnings), len(lines), err)
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		says := func(w string) bool {
			return strings.Contains(w, ": "+name+" has no effect: this release does not have ")
		}
		if !slices.ContainsFunc(warnings, says) {
			t.Errorf("no warning names %s", name)
		}
		_, row := find(name)
		if warning, err := new(Config).set(name, row.def); warning != "" || err != nil {
			t.Errorf("%s=%s, the default: %q, %v", name, row.def, warning, err)
		}
	}
}

// TestNoPlainPortInPlaceOfASecureOne: who asks for TLS alone gets no port in the clear.
func TestNoPlainPortInPlaceOfASecureOne(t *testing.T) {
	_, _, err := Load(write(t, "dataDir=/d\nsecureClientPort=2281"), nil, nil)
	if err == nil || !strings.Contains(err.Error(), ":2: secureClientPort: this release has no TLS") {
		t.Errorf("alone: %v", err)
	}
	file := write(t, "dataDir="+t.TempDir()+"\nserver.1=127.0.0.1:2888:3888;;2281")
	if _, _, err := Load(file, nil, nil); err == nil || !strings.Contains(err.Error(), ":2: server.1: ") {
		t.Errorf("in a server line: %v", err)
	}
	_, warnings, err := Load(write(t, "dataDir=/d\nclientPort=2181\nsecureClientPort=2281"), nil, nil)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "secureClientPort has no effect") {
		t.Errorf("beside another: %q, %v", warnings, err)
	}
	const metrics = "dataDir=/d\nmetricsProvider.className=PrometheusMetricsProvider\n"
	_, _, err = Load(write(t, metrics+"metricsProvider.httpsPort=7001"), nil, nil)
	if err == nil || !strings.Contains(err.Error(), ":3: metricsProvider.httpsPort: this release has no TLS") {
		t.Errorf("metrics alone: %v", err)
	}
	_, warnings, err = Load(write(t, metrics+"metricsProvider.httpsPort=7001\nmetricsProvider.httpPort=7000"), nil, nil)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "metricsProvider.httpsPort has no effect") {
		t.Errorf("metrics beside another port: %q, %v", warnings, err)
	}
}
