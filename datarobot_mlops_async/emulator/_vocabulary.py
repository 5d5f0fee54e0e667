"""The words that the fleet is made of."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Subject:
    """What a group of deployments predicts."""

    title: str
    target: str | None
    target_type: str
    features: tuple[str, ...]
    unsupervised: str | None = None


_CUSTOMER = ("customer_id", "tenure_months", "plan", "monthly_charges", "support_tickets_90d", "last_login")
_CREDIT = ("annual_income", "loan_amount", "purpose", "dti", "open_accounts", "issue_date", "grade")
_CARD = ("amount", "merchant_category", "country", "card_present", "hour_of_day", "transaction_time")
_STORE = ("store_id", "sku", "promotion", "holiday", "price", "date", "weather")
_MACHINE = ("sensor_temperature", "vibration_rms", "pressure", "run_hours", "last_service", "firmware")
_TEXT = ("subject", "body", "channel", "language", "received_at")
_PATIENT = ("age", "diagnosis_code", "num_lab_procedures", "time_in_hospital", "admitted_at", "payer")

SUBJECTS = (
    Subject(title="Customer churn", target="churned", target_type="Binary", features=_CUSTOMER),
    Subject(title="Next best offer", target="offer", target_type="Multiclass", features=_CUSTOMER),
    Subject(title="Lifetime value", target="value_12m", target_type="Regression", features=_CUSTOMER),
    Subject(title="Loan default", target="is_bad", target_type="Binary", features=_CREDIT),
    Subject(title="Recovery amount", target="recovered", target_type="Regression", features=_CREDIT),
    Subject(title="Card fraud", target="is_fraud", target_type="Binary", features=_CARD),
    Subject(title="Demand forecast", target="units_sold", target_type="Regression", features=_STORE),
    Subject(title="Markdown optimizer", target="markdown", target_type="Regression", features=_STORE),
    Subject(title="Predictive maintenance", target="failure_30d", target_type="Binary", features=_MACHINE),
    Subject(
        title="Sensor anomalies",
        target=None,
        target_type="Anomaly",
        features=_MACHINE,
        unsupervised="anomaly",
    ),
    Subject(title="Ticket routing", target="queue", target_type="Multiclass", features=_TEXT),
    Subject(title="Support assistant", target="answer", target_type="TextGeneration", features=_TEXT),
    Subject(title="Hospital readmission", target="readmitted", target_type="Binary", features=_PATIENT),
    Subject(
        title="Patient segments",
        target=None,
        target_type="Clustering",
        features=_PATIENT,
        unsupervised="clustering",
    ),
)

REGIONS = ("EMEA", "North America", "APAC", "LATAM", "DACH", "Nordics", "Global", "UK & Ireland")
STAGES = ("production", "production", "production", "staging", "shadow", "pilot")
TEAMS = ("risk", "growth", "supply-chain", "service", "operations", "clinical")
FIRST_NAMES = ("Amara", "Jonas", "Mei", "Priya", "Luca", "Ingrid", "Tomás", "Yuki", "Fatima", "Noah")
LAST_NAMES = (
    "Okafor",
    "Lindqvist",
    "Tanaka",
    "Raman",
    "Ferrari",
    "Novak",
    "Castillo",
    "Weiss",
    "Haddad",
    "Byrne",
)
MODEL_TYPES = (
    "Light Gradient Boosted Trees Classifier with Early Stopping",
    "eXtreme Gradient Boosted Trees Regressor",
    "Keras Slim Residual Neural Network Classifier",
    "Elastic-Net Regressor (L2 / Poisson Deviance)",
    "RandomForest Classifier (Gini)",
    "Generalized Additive2 Model",
    "Average Blender",
    "Isolation Forest Anomaly Detection",
)
PLATFORMS = (
    ("DataRobot Serverless", "datarobotServerless"),
    ("Production AWS", "aws"),
    ("Azure West Europe", "azure"),
    ("GCP analytics", "gcp"),
    ("Data centre Frankfurt", "onPremise"),
    ("Snowflake scoring", "snowflake"),
    ("Prediction servers", "datarobot"),
)
ENVIRONMENTS = (
    "[DataRobot] Python 3.11 Drop-In",
    "[DataRobot] R Drop-In",
    "[DataRobot] Java Drop-In (DR Codegen)",
)
