/** spire.api.server.localauthority.v1.LocalAuthority: signing authorities by hand, not offered yet. */
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { unimplemented } from './unimplemented.js';

const X509 = 'managing X.509 authorities by hand';
const JWT = 'managing JWT authorities';
const WIT = 'managing WIT authorities';

export function createLocalAuthorityHandlers(): Handlers<'spire.api.server.localauthority.v1.LocalAuthority'> {
  return {
    GetX509AuthorityState: unimplemented(X509),
    PrepareX509Authority: unimplemented(X509),
    ActivateX509Authority: unimplemented(X509),
    TaintX509Authority: unimplemented(X509),
    RevokeX509Authority: unimplemented(X509),
    TaintX509UpstreamAuthority: unimplemented(X509),
    RevokeX509UpstreamAuthority: unimplemented(X509),
    GetJWTAuthorityState: unimplemented(JWT),
    PrepareJWTAuthority: unimplemented(JWT),
    ActivateJWTAuthority: unimplemented(JWT),
    TaintJWTAuthority: unimplemented(JWT),
    RevokeJWTAuthority: unimplemented(JWT),
    GetWITAuthorityState: unimplemented(WIT),
    PrepareWITAuthority: unimplemented(WIT),
    ActivateWITAuthority: unimplemented(WIT),
    TaintWITAuthority: unimplemented(WIT),
    RevokeWITAuthority: unimplemented(WIT),
  };
}
