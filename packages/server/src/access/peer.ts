/** Who is at the other end of a connection, as the transport proved it; who they are to us is decided per call. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export type Peer =
  /** Connected over the admin Unix socket; the kernel told us who it is. */
  | {
      readonly kind: 'local';
      readonly uid: number;
      readonly pid: number;
      /** All its groups; undefined where nobody asked. */
      readonly gids?: readonly number[];
      /** At the socket of teams, where more than operators can connect: its calls are limited in number like those from elsewhere. */
      readonly isGuest?: boolean;
    }
  | {
      readonly kind: 'remote';
      /** The IP address, without port. */
      readonly address: string;
      /** Of the client certificate, whose chain was verified when the connection was made; undefined when none was presented. */
      readonly svid: PeerSvid | undefined;
    };

export interface PeerSvid {
  readonly spiffeId: SpiffeId;
  /** Lower-case hex. */
  readonly serialNumber: string;
  readonly notAfter: Date;
  /** SHA-256 of its DER. */
  readonly certificateHash: Buffer;
}
