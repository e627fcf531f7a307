/** For whom agents have Google make the identity tokens of their instances; SPIRE's, so that either half works with the other's. */
export const GCP_IIT_AUDIENCE = 'spire-gcp-node-attestor';
