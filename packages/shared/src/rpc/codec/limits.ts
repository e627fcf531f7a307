/** How much of each thing a message may hold: far above any real use, and low enough that no check is expensive. */

/** Selectors of one entry, agent or filter. */
export const MAX_SELECTORS = 1000;
/** Trust domains that one entry or filter names. */
export const MAX_FEDERATED_TRUST_DOMAINS = 1000;
export const MAX_DNS_NAMES = 1000;
/** RFC 1035 section 2.3.4, with room for a closing dot; which names are good is for registration to say. */
export const MAX_DNS_NAME_BYTES = 255;
/** SPIRE's. */
export const MAX_HINT_BYTES = 1024;
/** Authorities of one kind in one bundle. */
export const MAX_AUTHORITIES = 1000;
export const MAX_CERTIFICATE_BYTES = 65_536;
export const MAX_PUBLIC_KEY_BYTES = 16_384;
export const MAX_KEY_ID_BYTES = 1024;
/** Of each list in one message of the Watch stream. */
export const MAX_WATCH_ITEMS = 100_000;
export const MAX_LOG_ID_BYTES = 255;
/** SPIRE's. */
export const MAX_AGENT_VERSION_BYTES = 255;
