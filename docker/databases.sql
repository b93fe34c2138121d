-- Run by PostgreSQL's image when its volume is empty.
CREATE DATABASE optuna;
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_auth;
