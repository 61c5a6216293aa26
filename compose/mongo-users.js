// The image runs this once, on an empty volume. It creates one user for the tasks, and one who can
// only read the data of reports.
const admin = db.getSiblingDB("admin");
admin.createRole({
  role: "exportsTasks",
  privileges: [
    {
      resource: { db: "exports", collection: "ExportTasks" },
      actions: ["find", "insert", "update", "createIndex", "listIndexes", "changeStream"],
    },
    {
      resource: { db: "exports", collection: "ExportTokens" },
      actions: ["find", "insert", "update", "createIndex", "listIndexes"],
    },
    {
      resource: { db: "exports", collection: "ExportPeople" },
      actions: ["find", "insert", "update"],
    },
    {
      resource: { db: "exports", collection: "ExportWechatGrants" },
      actions: ["find", "insert", "update", "createIndex", "listIndexes"],
    },
    {
      resource: { db: "exports", collection: "ExportDeliveries" },
      actions: ["find", "insert", "update", "createIndex", "listIndexes"],
    },
    {
      resource: { db: "exports", collection: "ExportWebhooks" },
      actions: ["find", "insert", "update", "createIndex", "listIndexes"],
    },
    {
      resource: { db: "exports", collection: "ExportRecurring" },
      actions: ["find", "insert", "update", "createIndex", "listIndexes"],
    },
    {
      resource: { db: "exports", collection: "ExportWatch" },
      actions: ["find", "insert", "update"],
    },
  ],
  roles: [],
});
admin.createUser({
  user: "exports",
  pwd: process.env.TASKS_PASSWORD,
  roles: [{ role: "exportsTasks", db: "admin" }],
});
admin.createUser({
  user: "exports-reader",
  pwd: process.env.READER_PASSWORD,
  roles: [{ role: "read", db: process.env.SOURCE_DATABASE }],
});
