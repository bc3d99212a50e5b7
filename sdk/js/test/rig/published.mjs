// Imported before tests (`npm run test:published`): they then judge what npm gets in place of the source.
process.env.WSR_PUBLISHED = "index.js";
