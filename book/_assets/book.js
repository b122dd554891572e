// A browser lets no page read another one from a folder (file://), so that search does without the
// lines of context that it shows from a server.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
