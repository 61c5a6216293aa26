"""How clients and activities use Temporal, outside of workflow code."""
