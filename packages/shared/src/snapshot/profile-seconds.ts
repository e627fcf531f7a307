/** How long a profile of the processor may take: less than a call may, and a few megabytes. */
export const LONGEST_PROFILE_SECONDS = 30;
