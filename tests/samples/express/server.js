const express = require("express");

const VERSION = "1";

const app = express();

app.get("/", (request, response) => {
  response.type("text").send(`express sample, version ${VERSION}\n`);
});

const server = app.listen(process.env.PORT || 3000, "0.0.0.0");

process.on("SIGTERM", () => server.close(() => process.exit(0)));
