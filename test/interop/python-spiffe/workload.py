"""A workload written with PyPI's spiffe. The interop test starts it as a process; it answers with one line of JSON.

    workload.py sources AUDIENCE         an X509Source and a JwtSource, until the X.509-SVID has rotated
    workload.py validate TOKEN AUDIENCE  a JWT-SVID of somebody, validated by the Workload API
"""

import json
import sys
import threading

from spiffe import JwtSource, WorkloadApiClient, X509Source

LIMIT_SECONDS = 60


def sources(audience):
    with X509Source(timeout_in_seconds=LIMIT_SECONDS) as x509_source, JwtSource(
        timeout_in_seconds=LIMIT_SECONDS
    ) as jwt_source:
        first = x509_source.get_x509_context().default_svid
        rotated = threading.Event()

        def look():
            if x509_source.get_x509_context().default_svid.leaf.serial_number != first.leaf.serial_number:
                rotated.set()

        x509_source.subscribe_for_updates(look)
        token = jwt_source.fetch_svid(audience={audience})
        with WorkloadApiClient() as client:
            validated = client.validate_jwt_svid(token.token, audience)
        look()
        if not rotated.wait(LIMIT_SECONDS):
            raise TimeoutError("the X.509-SVID has not rotated")
        svid = x509_source.get_x509_context().default_svid
        return {
            "spiffeId": str(svid.spiffe_id),
            "jwtSpiffeId": str(token.spiffe_id),
            "validated": str(validated.spiffe_id),
            "x509TrustDomains": sorted(
                str(bundle.trust_domain) for bundle in x509_source.get_x509_context().x509_bundle_set.bundles
            ),
            "jwtTrustDomains": sorted(str(bundle.trust_domain) for bundle in jwt_source.bundles),
            "hasRotated": True,
        }


def validate(token, audience):
    with WorkloadApiClient() as client:
        return {"spiffeId": str(client.validate_jwt_svid(token, audience).spiffe_id)}


COMMANDS = {"sources": sources, "validate": validate}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
